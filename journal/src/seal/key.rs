//! The key of a seal, and HMAC-SHA-256 (RFC 2104) with it.

use super::{Hash, SealError};
use crate::bytes::get_u64;
use sha2::{Digest, Sha256};

const BLOCK: usize = 64;
const KEY_LENGTH_MIN: usize = 16;

/// Secret; never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct SealKey {
    /// As HMAC pads it.
    block: [u8; BLOCK],
    id: u64,
}

impl std::fmt::Debug for SealKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SealKey({:016x})", self.id)
    }
}

impl SealKey {
    /// The content of a key file: 16 bytes or more, all of which count.
    pub fn new(bytes: &[u8]) -> Result<Self, SealError> {
        if bytes.len() < KEY_LENGTH_MIN {
            let length = bytes.len();
            return Err(SealError::ShortKey { length });
        }
        let hash: Hash = Sha256::digest(bytes).into();
        Ok(Self {
            block: padded(bytes),
            // 0 says "no key".
            id: get_u64(&hash, 0).max(1),
        })
    }

    /// First 8 bytes of the key's SHA-256: says which key, not what it is.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// HMAC-SHA-256.
    pub fn mac(&self, message: &[u8]) -> Hash {
        hmac(&self.block, message)
    }
}

fn padded(key: &[u8]) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    if key.len() > BLOCK {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    block
}

fn hmac(block: &[u8; BLOCK], message: &[u8]) -> Hash {
    let keyed = |pad: u8| Sha256::new().chain_update(block.map(|byte| byte ^ pad));
    let inner = keyed(0x36).chain_update(message).finalize();
    keyed(0x5c).chain_update(inner).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::hash_text;

    #[test]
    fn is_hmac_sha_256() {
        // RFC 4231, cases 1, 2 and 6.
        let mac = |key: &[u8], message: &[u8]| hash_text(&hmac(&padded(key), message));
        assert_eq!(
            mac(&[0x0b; 20], b"Hi There"),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
        );
        assert_eq!(
            mac(b"Jefe", b"what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        let long = b"Test Using Larger Than Block-Size Key - Hash Key First";
        assert_eq!(
            mac(&[0xaa; 131], long),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }

    #[test]
    fn a_short_key_is_refused_and_none_is_printed() {
        let short = SealKey::new(b"too short").unwrap_err();
        assert_eq!(short, SealError::ShortKey { length: 9 });
        let key = SealKey::new(b"0123456789abcdef").unwrap();
        assert!(!format!("{key:?}").contains("0123456789abcdef"));
        assert_ne!(key.id(), SealKey::new(b"0123456789abcdeF").unwrap().id());
    }
}
