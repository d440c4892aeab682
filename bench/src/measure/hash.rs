//! FNV-1a, 64 bits: the result hash of every bench. It detects a run that did something else, not a
//! forger.

/// A running hash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ResultHash(u64);

impl Default for ResultHash {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl ResultHash {
    pub fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        }
    }

    /// Adds a number as its eight little-endian bytes.
    pub fn number(&mut self, number: u64) {
        self.bytes(&number.to_le_bytes());
    }

    pub const fn value(self) -> u64 {
        self.0
    }
}

/// As 16 hexadecimal digits, in tables and in JSON (where a u64 does not survive every reader).
impl std::fmt::Display for ResultHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl serde::Serialize for ResultHash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_vectors_come_out() {
        let of = |text: &str| {
            let mut hash = ResultHash::default();
            hash.bytes(text.as_bytes());
            hash.to_string()
        };
        assert_eq!(of(""), "cbf29ce484222325");
        assert_eq!(of("a"), "af63dc4c8601ec8c");
        assert_eq!(of("foobar"), "85944171f73967e8");
    }
}
