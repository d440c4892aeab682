//! Password verification on a helper thread: argon2id takes milliseconds and must never run on an
//! agent's thread. The queue is bounded; a login that finds it full waits unread, nobody else does.

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use lockstep_wire::soup::{Password, User};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

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

#[derive(Debug)]
struct Request {
    connection: u64,
    credential: Option<usize>,
    password: Password,
}

/// The answer to one request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Verdict {
    pub connection: u64,
    /// The user's session if the password is right.
    pub session: Option<u32>,
}

/// The gateway's end of the helper thread. Dropping it ends the thread.
#[derive(Debug)]
pub struct Verifier {
    users: Vec<([u8; 6], usize)>,
    requests: SyncSender<Request>,
    verdicts: Receiver<Verdict>,
    pending: usize,
}

impl Verifier {
    /// Starts the helper thread. Call before threads are pinned, so that it stays off their cores.
    pub fn start(credentials: Vec<Credential>) -> std::io::Result<Self> {
        let (requests, queue) = sync_channel::<Request>(VERIFICATIONS_MAX);
        let (answers, verdicts) = sync_channel(VERIFICATIONS_MAX);
        let mut users: Vec<_> = credentials
            .iter()
            .map(|c| *c.user.padded())
            .zip(0..)
            .collect();
        users.sort_unstable();
        std::thread::Builder::new()
            .name("passwords".into())
            .spawn(move || {
                // An unknown user costs the same time as a wrong password.
                let decoy = Password::new("decoy")
                    .ok()
                    .and_then(|p| hash_password(&p, HashCost::DEFAULT).ok())
                    .unwrap_or_default();
                while let Ok(request) = queue.recv() {
                    let known = request.credential.map(|i| &credentials[i]);
                    let phc = known.map_or(&decoy, |c| &c.password_argon2id);
                    let right = PasswordHash::new(phc).is_ok_and(|hash| {
                        Argon2::default()
                            .verify_password(request.password.as_bytes(), &hash)
                            .is_ok()
                    });
                    let session = known.filter(|_| right).map(|c| c.session);
                    let verdict = Verdict {
                        connection: request.connection,
                        session,
                    };
                    if answers.send(verdict).is_err() {
                        return;
                    }
                }
            })?;
        Ok(Self {
            users,
            requests,
            verdicts,
            pending: 0,
        })
    }

    /// Asks for a verdict on (user, password); false if the queue is full: ask again later.
    pub fn request(&mut self, connection: u64, user: &User, password: Password) -> bool {
        let found = self.users.binary_search_by(|(u, _)| u.cmp(user.padded()));
        let credential = found.ok().map(|i| self.users[i].1);
        if self.pending >= VERIFICATIONS_MAX {
            return false;
        }
        match self.requests.try_send(Request {
            connection,
            credential,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict_for(user: &str, password: &str) -> Option<u32> {
        let right = Password::new("Secret1").unwrap();
        let credential = Credential {
            user: User::new("ALICE").unwrap(),
            session: 5,
            password_argon2id: hash_password(&right, HashCost::CHEAP).unwrap(),
        };
        let mut verifier = Verifier::start(vec![credential]).unwrap();
        let user = User::new(user).unwrap();
        assert!(verifier.request(9, &user, Password::new(password).unwrap()));
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

    #[test]
    fn other_hashes_are_refused() {
        assert!(parse_hash("plain").is_err());
        assert!(parse_hash("$argon2i$v=19$m=64,t=1,p=1$c29tZXNhbHQ$aGFzaGhhc2hoYXNo").is_err());
    }
}
