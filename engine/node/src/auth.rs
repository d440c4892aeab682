//! Password verification on a helper thread: argon2id takes milliseconds and must never run on an
//! agent's thread. The queue is bounded; a login that finds it full waits unread, nobody else does.

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

/// Verifications waiting at most; more logins wait in their sockets.
pub const VERIFICATIONS_MAX: usize = 64;

/// SoupBinTCP's password field.
pub const PASSWORD_LENGTH: usize = 10;

/// A password as the client sent it, folded as SoupBinTCP wants (case does not matter, padding is not
/// part of it).
#[derive(Clone, Copy)]
pub struct Password {
    bytes: [u8; PASSWORD_LENGTH],
    length: usize,
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(withheld)")
    }
}

impl Password {
    /// From the 10 bytes of the wire, padded right with spaces or NULs.
    pub fn from_wire(field: &[u8; PASSWORD_LENGTH]) -> Self {
        let padding = |b: &&u8| **b == b' ' || **b == 0;
        let length = PASSWORD_LENGTH - field.iter().rev().take_while(padding).count();
        Self {
            bytes: field.to_ascii_uppercase().try_into().unwrap_or(*field),
            length,
        }
    }

    /// From text; `None` if it does not fit the wire's field or cannot be told from its padding.
    pub fn from_text(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        if bytes.is_empty()
            || bytes.len() > PASSWORD_LENGTH
            || !bytes.iter().all(u8::is_ascii_graphic)
        {
            return None;
        }
        let mut field = [b' '; PASSWORD_LENGTH];
        field[..bytes.len()].copy_from_slice(bytes);
        Some(Self::from_wire(&field))
    }

    fn folded(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

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
        .hash_password(password.folded())
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
    /// Folded to upper case, padded right with spaces.
    pub user: [u8; 6],
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
        let mut users: Vec<_> = credentials.iter().map(|c| c.user).zip(0..).collect();
        users.sort_unstable();
        std::thread::Builder::new()
            .name("passwords".into())
            .spawn(move || {
                // An unknown user costs the same time as a wrong password.
                let decoy = Password::from_text("decoy")
                    .and_then(|p| hash_password(&p, HashCost::DEFAULT).ok())
                    .unwrap_or_default();
                while let Ok(request) = queue.recv() {
                    let known = request.credential.map(|i| &credentials[i]);
                    let phc = known.map_or(&decoy, |c| &c.password_argon2id);
                    let right = PasswordHash::new(phc).is_ok_and(|hash| {
                        Argon2::default()
                            .verify_password(request.password.folded(), &hash)
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
    pub fn request(&mut self, connection: u64, user: &[u8; 6], password: Password) -> bool {
        let found = self.users.binary_search_by(|(u, _)| u.cmp(user));
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

/// A user name as sessions are looked up: upper case, padded right with spaces.
pub fn fold_user(field: &[u8; 6]) -> [u8; 6] {
    let mut user = *field;
    for b in &mut user {
        *b = if *b == 0 {
            b' '
        } else {
            b.to_ascii_uppercase()
        };
    }
    user
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict_for(user: &[u8; 6], password: &str) -> Option<u32> {
        let right = Password::from_text("Secret1").unwrap();
        let credential = Credential {
            user: *b"ALICE ",
            session: 5,
            password_argon2id: hash_password(&right, HashCost::CHEAP).unwrap(),
        };
        let mut verifier = Verifier::start(vec![credential]).unwrap();
        assert!(verifier.request(9, &fold_user(user), Password::from_text(password).unwrap()));
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
            verdict_for(b"alice ", "sECRET1"),
            Some(5),
            "case does not matter"
        );
        assert_eq!(verdict_for(b"ALICE ", "Secret2"), None);
        assert_eq!(verdict_for(b"BOB   ", "Secret1"), None);
    }

    #[test]
    fn a_password_must_fit_the_wire() {
        assert!(Password::from_text("").is_none());
        assert!(Password::from_text("12345678901").is_none());
        assert!(Password::from_text("has space").is_none());
        let padded = Password::from_wire(b"abc\0\0\0\0\0\0\0");
        assert_eq!(padded.folded(), b"ABC");
    }

    #[test]
    fn other_hashes_are_refused() {
        assert!(parse_hash("plain").is_err());
        assert!(parse_hash("$argon2i$v=19$m=64,t=1,p=1$c29tZXNhbHQ$aGFzaGhhc2hoYXNo").is_err());
    }
}
