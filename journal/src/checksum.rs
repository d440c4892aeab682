//! Checksums against accident: CRC-32C in a 16-byte field (docs/journal-format.md, "Batch").
//!
//! The crate behind it finds the processor's CRC instruction at run time, also in a static binary.

use std::fmt;

/// Identifies CRC-32C in the `checksum_algorithm` field of every header.
pub const CHECKSUM_ALGORITHM: u8 = 1;

/// A 16-byte checksum field: CRC-32C, little-endian, in the first four bytes, zeros behind.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Checksum(pub [u8; 16]);

impl Checksum {
    pub const ZERO: Self = Self([0; 16]);

    pub fn of(bytes: &[u8]) -> Self {
        Self::of_crc(crc32c::crc32c(bytes))
    }

    /// Of `bytes` as if the 16 bytes at `field` were zero.
    pub fn of_without_field(bytes: &[u8], field: usize) -> Self {
        let crc = crc32c::crc32c(&bytes[..field]);
        let crc = crc32c::crc32c_append(crc, &[0; 16]);
        Self::of_crc(crc32c::crc32c_append(crc, &bytes[field + 16..]))
    }

    /// Of bytes whose CRC-32C is `crc`.
    pub fn of_crc(crc: u32) -> Self {
        let mut field = [0; 16];
        field[..4].copy_from_slice(&crc.to_le_bytes());
        Self(field)
    }
}

impl fmt::Debug for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "crc32c:{:08x}", crate::bytes::get_u32(&self.0, 0))?;
        if self.0[4..] != [0; 12] {
            write!(f, "+{:02x?}", &self.0[4..])?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_crc_32c() {
        // RFC 3720, B.4: 32 bytes of zeros.
        assert_eq!(Checksum::of(&[0; 32]).0[..4], [0xaa, 0x36, 0x91, 0x8a]);
    }

    #[test]
    fn ignores_only_its_own_field() {
        let mut bytes = [7u8; 64];
        let sum = Checksum::of_without_field(&bytes, 16);
        bytes[20] = 1;
        assert_eq!(sum, Checksum::of_without_field(&bytes, 16));
        bytes[32] = 1;
        assert_ne!(sum, Checksum::of_without_field(&bytes, 16));
    }
}
