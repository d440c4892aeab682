//! The common start of every header block (docs/journal-format.md, "Common start of headers").
//!
//! Its offsets never change: the checksum is checked before the version, so that damage is never
//! taken for a newer format.

use crate::bytes::{get_array, get_u16, put};
use crate::checksum::CHECKSUM_ALGORITHM;
use crate::position::BLOCK_LENGTH;
use crate::{Checksum, ClusterId, JournalId};
use thiserror::Error;

const CHECKSUM: usize = 112;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum HeaderBlockError {
    #[error("all its bytes are zero")]
    Empty,
    #[error("its magic is not the expected one")]
    Magic,
    #[error("its checksum does not hold")]
    Checksum,
    #[error(
        "format version {version} is newer than this build's ({supported}); use the newer build"
    )]
    NewerFormat { version: u16, supported: u16 },
    #[error("its checksum holds, but a field has an impossible value")]
    Malformed,
    #[error("it belongs to another journal")]
    OtherJournal,
}

/// Writes the common fields; the caller adds its own and calls [`finish`].
pub fn start(
    bytes: &mut [u8],
    magic: [u8; 8],
    format_version: u16,
    cluster_id: ClusterId,
    journal_id: JournalId,
) {
    put(bytes, 0, &magic);
    put(bytes, 8, &format_version.to_le_bytes());
    bytes[10] = CHECKSUM_ALGORITHM;
    put(bytes, 12, &(BLOCK_LENGTH as u32).to_le_bytes());
    put(bytes, 16, &cluster_id.0);
    put(bytes, 32, &journal_id.0);
}

/// Writes the checksum over all of `bytes`.
pub fn finish(bytes: &mut [u8]) {
    let checksum = Checksum::of_without_field(bytes, CHECKSUM);
    put(bytes, CHECKSUM, &checksum.0);
}

/// Verifies `bytes`, the whole checksummed range, and gives the common ids.
pub fn check(
    bytes: &[u8],
    magic: [u8; 8],
    supported: u16,
) -> Result<(ClusterId, JournalId), HeaderBlockError> {
    if crate::bytes::all_zero(bytes) {
        return Err(HeaderBlockError::Empty);
    }
    if bytes.len() < CHECKSUM + 16 || bytes[..8] != magic {
        return Err(HeaderBlockError::Magic);
    }
    if Checksum::of_without_field(bytes, CHECKSUM).0 != get_array(bytes, CHECKSUM) {
        return Err(HeaderBlockError::Checksum);
    }
    let version = get_u16(bytes, 8);
    if version > supported {
        return Err(HeaderBlockError::NewerFormat { version, supported });
    }
    let length = crate::bytes::get_u32(bytes, 12);
    if bytes[10] != CHECKSUM_ALGORITHM || u64::from(length) != BLOCK_LENGTH {
        return Err(HeaderBlockError::Malformed);
    }
    Ok((
        ClusterId(get_array(bytes, 16)),
        JournalId(get_array(bytes, 32)),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(version: u16) -> [u8; 256] {
        let mut bytes = [0; 256];
        start(
            &mut bytes,
            *b"LKSTEST.",
            version,
            ClusterId([1; 16]),
            JournalId([2; 16]),
        );
        finish(&mut bytes);
        bytes
    }

    #[test]
    fn every_damaged_byte_is_found_and_never_taken_for_a_newer_format() {
        let good = block(0);
        assert_eq!(
            check(&good, *b"LKSTEST.", 0),
            Ok((ClusterId([1; 16]), JournalId([2; 16])))
        );
        for at in 0..good.len() {
            let mut bad = good;
            bad[at] ^= 1;
            let error = check(&bad, *b"LKSTEST.", 0).unwrap_err();
            assert!(
                matches!(error, HeaderBlockError::Magic | HeaderBlockError::Checksum),
                "{at}"
            );
        }
    }

    #[test]
    fn a_newer_format_says_so() {
        let newer = HeaderBlockError::NewerFormat {
            version: 3,
            supported: 0,
        };
        assert_eq!(check(&block(3), *b"LKSTEST.", 0), Err(newer));
        assert_eq!(
            check(&[0; 256], *b"LKSTEST.", 0),
            Err(HeaderBlockError::Empty)
        );
    }
}
