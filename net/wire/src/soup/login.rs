//! The login request: view, the client's values, and how credentials are compared.
//!
//! Nothing here may print or store a password; verifying it is the node's, on a helper thread.

use super::number::{NUMBER_WIDTH, NumberError, parse_number, trim, write_number};
use core::fmt;
use core::net::{IpAddr, SocketAddr};
use lockstep_record::command;
use thiserror::Error;

/// Payload of `L`: user 6, password 10, session 10, number 20.
pub(super) const LOGIN_REQUEST_PAYLOAD: usize = 46;

const PASSWORD_AT: usize = 6;
const SESSION_AT: usize = 16;
const NUMBER_AT: usize = 26;
const _: () = assert!(NUMBER_AT + NUMBER_WIDTH == LOGIN_REQUEST_PAYLOAD);

/// Why a text cannot be a user name or a password.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum CredentialError {
    #[error("is empty; give 1 to {0} characters")]
    Empty(usize),
    #[error("has {length} characters; SoupBinTCP carries at most {length_max}")]
    TooLong { length: usize, length_max: usize },
    #[error("holds byte {0:#04x}; use printable ASCII without spaces")]
    NotPrintable(u8),
}

/// Text of a login field in its canonical form: padding removed, letters folded to upper case, since
/// SoupBinTCP compares user names and passwords without regard to case.
///
/// What is hashed, defined and compared is always this form: [`Credential::new`] for configuration,
/// [`LoginRequest`] for the wire.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Credential<const N: usize> {
    /// Padded right with spaces.
    text: [u8; N],
    length: u8,
}

/// A user name: six characters at most.
pub type User = Credential<6>;

impl<const N: usize> Credential<N> {
    /// The canonical form of a configured text of 1 to `N` printable characters.
    pub fn new(text: &str) -> Result<Self, CredentialError> {
        let bytes = text.as_bytes();
        if bytes.is_empty() {
            return Err(CredentialError::Empty(N));
        }
        if bytes.len() > N {
            return Err(CredentialError::TooLong {
                length: bytes.len(),
                length_max: N,
            });
        }
        if let Some(&byte) = bytes.iter().find(|byte| !byte.is_ascii_graphic()) {
            return Err(CredentialError::NotPrintable(byte));
        }
        Ok(Self::from_text(bytes))
    }

    /// The canonical form of whatever a client sent; bytes that no configured text can hold stay as
    /// they are and so match nothing.
    fn from_field(field: &[u8; N]) -> Self {
        Self::from_text(trim(field))
    }

    fn from_text(bytes: &[u8]) -> Self {
        let mut text = [b' '; N];
        text[..bytes.len()].copy_from_slice(bytes);
        text.make_ascii_uppercase();
        Self {
            text,
            length: bytes.len() as u8,
        }
    }

    /// Without padding; empty if the field was blank.
    pub fn as_bytes(&self) -> &[u8] {
        &self.text[..usize::from(self.length)]
    }

    /// Padded right with spaces to the field's width.
    pub fn padded(&self) -> &[u8; N] {
        &self.text
    }
}

impl<const N: usize> fmt::Debug for Credential<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.as_bytes().escape_ascii())
    }
}

/// A password: ten characters at most. It has no equality and prints as nothing: it is to be hashed.
#[derive(Clone, Copy)]
pub struct Password(Credential<10>);

impl Password {
    /// The canonical form of a text that an operator typed.
    pub fn new(text: &str) -> Result<Self, CredentialError> {
        Credential::new(text).map(Self)
    }

    /// The bytes to hash: padding removed, folded to upper case.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// View of a login request's payload.
#[derive(Clone, Copy)]
pub struct LoginRequest<'a>(&'a [u8; LOGIN_REQUEST_PAYLOAD]);

impl<'a> LoginRequest<'a> {
    pub(super) fn new(payload: &'a [u8]) -> Option<Self> {
        payload.try_into().ok().map(Self)
    }

    fn field<const N: usize>(&self, at: usize) -> [u8; N] {
        let mut field = [0; N];
        field.copy_from_slice(&self.0[at..at + N]);
        field
    }

    pub fn user(&self) -> User {
        Credential::from_field(&self.field(0))
    }

    pub fn password(&self) -> Password {
        Password(Credential::from_field(&self.field(PASSWORD_AT)))
    }

    /// Trading session wanted, padded left as the venue writes it; all spaces = the current one.
    /// Clients pad it on either side.
    pub fn session(&self) -> [u8; 10] {
        pad_left(&self.field(SESSION_AT))
    }

    /// Next number wanted: 1 = from the start, 0 = new messages only.
    pub fn number(&self) -> Result<u64, NumberError> {
        parse_number(&self.field(NUMBER_AT))
    }

    /// The body of the command that a verified login becomes. `connection` is the gateway's handle.
    ///
    /// A number that cannot be read becomes the largest, which is above any next number: the answer is
    /// `J` `S`, after the password was verified, so that strangers learn nothing.
    pub fn to_command(&self, connection: u64, peer: SocketAddr) -> command::Login {
        let address = match peer.ip() {
            IpAddr::V4(v4) => v4.to_ipv6_mapped(),
            IpAddr::V6(v6) => v6,
        };
        command::Login {
            connection,
            requested_number: self.number().unwrap_or(u64::MAX),
            peer_address: address.octets(),
            peer_port: peer.port(),
            user: *self.user().padded(),
            requested_session: self.session(),
            _reserved: [0; 14],
        }
    }
}

impl fmt::Debug for LoginRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginRequest")
            .field("user", &self.user())
            .field("session", &Credential::from_field(&self.session()))
            .field("number", &self.number())
            .finish_non_exhaustive()
    }
}

/// `field` with its text moved to the right and spaces before it.
pub(super) fn pad_left(field: &[u8; 10]) -> [u8; 10] {
    let text = trim(field);
    let mut padded = [b' '; 10];
    padded[10 - text.len()..].copy_from_slice(text);
    padded
}

/// What a client logs in with.
#[derive(Clone, Copy, Debug)]
pub struct Login {
    pub user: User,
    pub password: Password,
    /// All spaces = the current trading session.
    pub session: [u8; 10],
    /// Next number wanted: 1 = from the start, 0 = new messages only.
    pub number: u64,
}

impl Login {
    /// Into the current trading session, from message `number`.
    pub fn new(user: &str, password: &str, number: u64) -> Result<Self, CredentialError> {
        Ok(Self {
            user: User::new(user)?,
            password: Password::new(password)?,
            session: [b' '; 10],
            number,
        })
    }

    pub(super) fn write_payload(&self, out: &mut [u8; LOGIN_REQUEST_PAYLOAD]) {
        out[..PASSWORD_AT].copy_from_slice(self.user.padded());
        out[PASSWORD_AT..SESSION_AT].copy_from_slice(self.password.0.padded());
        out[SESSION_AT..NUMBER_AT].copy_from_slice(&self.session);
        let mut number = [0; NUMBER_WIDTH];
        write_number(self.number, &mut number);
        out[NUMBER_AT..].copy_from_slice(&number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    const PAYLOAD: &[u8; LOGIN_REQUEST_PAYLOAD] = b"alice secret    SESS1     7                   ";

    #[test]
    fn fields_come_back_folded_and_padded_the_venues_way() {
        let login = LoginRequest::new(PAYLOAD).unwrap();
        assert_eq!(login.user().padded(), b"ALICE ");
        assert_eq!(login.user(), User::new("Alice").unwrap());
        assert_eq!(login.password().as_bytes(), b"SECRET");
        assert_eq!(&login.session(), b"     SESS1");
        assert_eq!(login.number(), Ok(7));
    }

    #[test]
    fn command_carries_handle_peer_and_wishes() {
        let login = LoginRequest::new(PAYLOAD).unwrap();
        let command = login.to_command(77, "10.1.2.3:4001".parse().unwrap());
        assert_eq!(command.connection, 77);
        assert_eq!(command.requested_number, 7);
        assert_eq!(
            command.peer_address,
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 10, 1, 2, 3]
        );
        assert_eq!(command.peer_port, 4001);
        assert_eq!(&command.user, b"ALICE ");
        assert_eq!(&command.requested_session, b"     SESS1");
    }

    #[test]
    fn unreadable_number_is_above_every_number() {
        let mut payload = *PAYLOAD;
        payload[NUMBER_AT] = b'x';
        let login = LoginRequest::new(&payload).unwrap();
        assert_eq!(
            login
                .to_command(1, "[::1]:1".parse().unwrap())
                .requested_number,
            u64::MAX
        );
    }

    #[test]
    fn passwords_never_print() {
        let login = LoginRequest::new(PAYLOAD).unwrap();
        let client = Login::new("alice", "secret", 1).unwrap();
        for printed in [format!("{login:?}"), format!("{client:?}")] {
            assert!(printed.contains("ALICE"), "{printed}");
            assert!(!printed.to_lowercase().contains("secret"), "{printed}");
        }
    }

    #[test]
    fn configured_credentials_are_checked() {
        assert_eq!(User::new("").unwrap_err(), CredentialError::Empty(6));
        assert_eq!(
            User::new("SEVENLY").unwrap_err(),
            CredentialError::TooLong {
                length: 7,
                length_max: 6
            }
        );
        assert_eq!(
            User::new("A B").unwrap_err(),
            CredentialError::NotPrintable(b' ')
        );
        assert_eq!(
            Password::new("pässword").unwrap_err(),
            CredentialError::NotPrintable(0xC3)
        );
        assert_eq!(
            Password::new("tencharsok").unwrap().as_bytes(),
            b"TENCHARSOK"
        );
    }
}
