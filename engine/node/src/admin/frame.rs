//! Frames of the admin protocol: `u32 length, little-endian · that many bytes of JSON`.
//!
//! Sans I/O: bytes in, frames out, whatever way they were split. A length above the bound is an error at
//! once, before a byte of it is kept.

use thiserror::Error;

/// Longest request, bytes of JSON.
pub const REQUEST_LENGTH_MAX: usize = 64 << 10;
/// Longest answer, bytes of JSON.
pub const ANSWER_LENGTH_MAX: usize = 4 << 20;
const LENGTH_BYTES: usize = 4;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("a frame of {length} bytes; at most {max} are allowed")]
pub struct FrameTooLong {
    pub length: usize,
    pub max: usize,
}

/// Collects bytes until they are a frame.
#[derive(Debug)]
pub struct FrameReader {
    bytes: Vec<u8>,
    length_max: usize,
}

impl FrameReader {
    pub fn new(length_max: usize) -> Self {
        Self {
            bytes: Vec::new(),
            length_max,
        }
    }

    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Bytes kept; bounded by one frame and one read.
    pub fn kept(&self) -> usize {
        self.bytes.len()
    }

    /// The next whole frame's content.
    pub fn next_frame(&mut self) -> Result<Option<Vec<u8>>, FrameTooLong> {
        let Some((prefix, rest)) = self.bytes.split_first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let length = u32::from_le_bytes(*prefix) as usize;
        if length > self.length_max {
            return Err(FrameTooLong {
                length,
                max: self.length_max,
            });
        }
        if rest.len() < length {
            return Ok(None);
        }
        let frame = rest[..length].to_vec();
        self.bytes.drain(..LENGTH_BYTES + length);
        Ok(Some(frame))
    }
}

/// Appends a frame.
pub fn write_frame(out: &mut Vec<u8>, content: &[u8]) {
    out.extend_from_slice(&(content.len() as u32).to_le_bytes());
    out.extend_from_slice(content);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// However the bytes arrive, the same frames come out.
        #[test]
        fn splits_do_not_matter(
            contents in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..8),
            cuts in prop::collection::vec(1usize..20, 1..200),
        ) {
            let mut bytes = Vec::new();
            contents.iter().for_each(|content| write_frame(&mut bytes, content));
            let mut reader = FrameReader::new(64);
            let mut found = Vec::new();
            let mut rest = &bytes[..];
            for cut in cuts.iter().cycle() {
                let (now, later) = rest.split_at((*cut).min(rest.len()));
                reader.push(now);
                while let Some(frame) = reader.next_frame().unwrap() {
                    found.push(frame);
                }
                rest = later;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(found, contents);
            prop_assert_eq!(reader.kept(), 0);
        }

        #[test]
        fn any_bytes_are_frames_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..500)) {
            let mut reader = FrameReader::new(100);
            reader.push(&bytes);
            while let Ok(Some(frame)) = reader.next_frame() {
                prop_assert!(frame.len() <= 100);
            }
        }
    }

    #[test]
    fn a_length_above_the_bound_is_refused_before_its_bytes() {
        let mut reader = FrameReader::new(10);
        reader.push(&11u32.to_le_bytes());
        let refused = FrameTooLong {
            length: 11,
            max: 10,
        };
        assert_eq!(reader.next_frame(), Err(refused));
    }
}
