//! Password verification on a helper thread: argon2id takes milliseconds and must never run on an
//! agent's thread. The queue is bounded; a login that finds it full waits unread, nobody else does.

use crate::config::{Config, SessionConfig};
use crate::fatal::{ExitCode, Fatal};
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use lockstep_wire::soup::{Password, User};
use std::net::IpAddr;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};

/// Verifications waiting at most; more logins wait in their sockets.
pub const VERIFICATIONS_MAX: usize = 64;

/// Cost of a hash; `DEFAULT` is OWASP's recommendation, `CHEAP` is for tests and demonstrations.
#[derive(Clone, Copy, Debug)]
pub struct HashCost {
    pub memory_kib: u32,
    pub passes: u32,
}

impl HashCost {
    pub const DEFAULT: Self = Self {
        memory_kib: 19 * 1024,
        passes: 2,
    };
    pub const CHEAP: Self = Self {
        memory_kib: 64,
        passes: 1,
    };
}

/// The PHC string for a configuration's `password_argon2id`.
pub fn hash_password(password: &Password, cost: HashCost) -> Result<String, String> {
    let params = Params::new(cost.memory_kib, cost.passes, 1, None).map_err(|e| e.to_string())?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hash = argon2
        .hash_password(password.as_bytes())
        .map_err(|e| e.to_string())?;
    Ok(hash.to_string())
}

/// Checks that `text` is an argon2id PHC string.
pub fn parse_hash(text: &str) -> Result<(), String> {
    let hash = PasswordHash::new(text).map_err(|e| format!("is not a PHC string: {e}"))?;
    if hash.algorithm.as_str() != "argon2id" {
        return Err(format!("uses {}, not argon2id", hash.algorithm));
    }
    Ok(())
}

/// What the gateway knows of a user.
#[derive(Clone, Debug)]
pub struct Credential {
    pub user: User,
    pub session: u32,
    pub password_argon2id: String,
}

/// The sessions of a configuration as credentials.
pub fn credentials(config: &Config) -> Result<Vec<Credential>, Fatal> {
    let credential = |session: &SessionConfig| {
        let user = User::new(&session.user).map_err(|e| {
            Fatal::new(
                ExitCode::Configuration,
                format!("session {}: user: {e}", session.id),
            )
        })?;
        Ok(Credential {
            user,
            session: session.id,
            password_argon2id: session.password_argon2id.clone(),
        })
    };
    config.sessions.iter().map(credential).collect()
}

/// The credentials in force, sorted by user. Looked at by the helper thread, replaced by a reload; no
/// agent ever takes its lock.
#[derive(Clone, Debug)]
pub struct Passwords(Arc<Mutex<Vec<Credential>>>);

impl Passwords {
    pub fn new(credentials: Vec<Credential>) -> Self {
        let passwords = Self(Arc::default());
        passwords.replace(credentials);
        passwords
    }

    /// Counts from the next verification on; connections that are logged in stay.
    pub fn replace(&self, mut credentials: Vec<Credential>) {
        credentials.sort_unstable_by_key(|c| *c.user.padded());
        *self.0.lock().unwrap_or_else(|e| e.into_inner()) = credentials;
    }

    fn find(&self, user: &User) -> Option<Credential> {
        let credentials = self.0.lock().unwrap_or_else(|e| e.into_inner());
        let found = credentials.binary_search_by_key(user.padded(), |c| *c.user.padded());
        found.ok().map(|i| credentials[i].clone())
    }
}

#[derive(Debug)]
struct Request {
    connection: u64,
    address: IpAddr,
    user: User,
    password: Password,
}

/// The answer to one request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Verdict {
    pub connection: u64,
    pub address: IpAddr,
    pub user: User,
    /// There is such a user.
    pub known: bool,
    /// The user's session if the password is right.
    pub session: Option<u32>,
}

/// The gateway's end of the helper thread. Dropping it ends the thread.
#[derive(Debug)]
pub struct Verifier {
    requests: SyncSender<Request>,
    verdicts: Receiver<Verdict>,
    pending: usize,
}

impl Verifier {
    /// Starts the helper thread. Call before threads are pinned, so that it stays off their cores.
    pub fn start(passwords: Passwords) -> std::io::Result<Self> {
        let (requests, queue) = sync_channel::<Request>(VERIFICATIONS_MAX);
        let (answers, verdicts) = sync_channel(VERIFICATIONS_MAX);
        std::thread::Builder::new()
            .name("passwords".into())
            .spawn(move || {
                // An unknown user costs the same time as a wrong password.
                let decoy = Password::new("decoy")
                    .ok()
                    .and_then(|p| hash_password(&p, HashCost::DEFAULT).ok())
                    .unwrap_or_default();
                while let Ok(request) = queue.recv() {
                    if answers.send(verify(&passwords, &decoy, &request)).is_err() {
                        return;
                    }
                }
            })?;
        Ok(Self {
            requests,
            verdicts,
            pending: 0,
        })
    }

    /// Asks for a verdict on (user, password); false if the queue is full: ask again later.
    pub fn request(
        &mut self,
        connection: u64,
        address: IpAddr,
        user: &User,
        password: Password,
    ) -> bool {
        if self.pending >= VERIFICATIONS_MAX {
            return false;
        }
        match self.requests.try_send(Request {
            connection,
            address,
            user: *user,
            password,
        }) {
            Ok(()) => {
                self.pending += 1;
                true
            }
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
        }
    }

    /// The next verdict, if one is ready. Costs nothing while none is pending.
    #[inline]
    pub fn poll(&mut self) -> Option<Verdict> {
        if self.pending == 0 {
            return None;
        }
        let verdict = self.verdicts.try_recv().ok()?;
        self.pending -= 1;
        Some(verdict)
    }
}

fn verify(passwords: &Passwords, decoy: &str, request: &Request) -> Verdict {
    let known = passwords.find(&request.user);
    let phc = known.as_ref().map_or(decoy, |c| &c.password_argon2id);
    let right = PasswordHash::new(phc).is_ok_and(|hash| {
        Argon2::default()
            .verify_password(request.password.as_bytes(), &hash)
            .is_ok()
    });
    Verdict {
        connection: request.connection,
        address: request.address,
        user: request.user,
        known: known.is_some(),
        session: known.filter(|_| right).map(|c| c.session),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn verdict_for(user: &str, password: &str) -> Option<u32> {
        let right = Password::new("Secret1").unwrap();
        let credential = Credential {
            user: User::new("ALICE").unwrap(),
            session: 5,
            password_argon2id: hash_password(&right, HashCost::CHEAP).unwrap(),
        };
        let mut verifier = Verifier::start(Passwords::new(vec![credential])).unwrap();
        let user = User::new(user).unwrap();
        assert!(verifier.request(9, HERE, &user, Password::new(password).unwrap()));
        loop {
            if let Some(verdict) = verifier.poll() {
                assert_eq!(verdict.connection, 9);
                return verdict.session;
            }
            std::thread::yield_now();
        }
    }

    #[test]
    fn right_wrong_and_unknown() {
        assert_eq!(
            verdict_for("alice", "sECRET1"),
            Some(5),
            "case does not matter"
        );
        assert_eq!(verdict_for("ALICE", "Secret2"), None);
        assert_eq!(verdict_for("BOB", "Secret1"), None);
    }

    /// A reload replaces passwords while the node runs.
    #[test]
    fn replaced_passwords_count_at_once() {
        let credential = |password: &str, session| Credential {
            user: User::new("ALICE").unwrap(),
            session,
            password_argon2id: hash_password(&Password::new(password).unwrap(), HashCost::CHEAP)
                .unwrap(),
        };
        let passwords = Passwords::new(vec![credential("first", 1)]);
        let mut verifier = Verifier::start(passwords.clone()).unwrap();
        let mut verdict = |password: &str| {
            let user = User::new("alice").unwrap();
            assert!(verifier.request(1, HERE, &user, Password::new(password).unwrap()));
            loop {
                match verifier.poll() {
                    Some(verdict) => return verdict.session,
                    None => std::thread::yield_now(),
                }
            }
        };
        assert_eq!(verdict("first"), Some(1));
        passwords.replace(vec![credential("second", 2)]);
        assert_eq!((verdict("first"), verdict("second")), (None, Some(2)));
    }

    #[test]
    fn other_hashes_are_refused() {
        assert!(parse_hash("plain").is_err());
        assert!(parse_hash("$argon2i$v=19$m=64,t=1,p=1$c29tZXNhbHQ$aGFzaGhhc2hoYXNo").is_err());
    }
}
