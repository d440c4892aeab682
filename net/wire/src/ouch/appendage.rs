//! The appendage: optional elements after a message's fixed part.
//!
//! Elements are checked once, when a message is parsed; afterwards iteration cannot fail.

use super::error::OuchError;
use super::option::{OPTIONS, OptionTag};
use crate::Field;
use core::fmt;
use thiserror::Error;

/// Longest appendage taken from a client; every option of the tag table fits it twice.
pub const APPENDAGE_LENGTH_MAX: usize = 512;

const _: () = {
    let mut length = 0;
    let mut row = 0;
    while row < OPTIONS.len() {
        length += ELEMENT_HEADER + OPTIONS[row].width as usize;
        row += 1;
    }
    assert!(2 * length <= APPENDAGE_LENGTH_MAX);
};

/// Bytes of the length field before an appendage.
pub(super) const LENGTH_FIELD: usize = 2;
/// Bytes before an element's value: its length and its tag.
pub(super) const ELEMENT_HEADER: usize = 2;

/// Whether a message has an appendage.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Block {
    /// The length field is always there.
    Always,
    /// Length field and appendage may be absent together.
    Optional,
    Never,
}

/// Options of a message, whose form has been checked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Appendage<'a> {
    bytes: &'a [u8],
    /// Whether the length field is there. Tells the two short forms apart: absent and empty.
    present: bool,
}

impl<'a> Appendage<'a> {
    /// No length field where a message can do without, an empty one where it cannot.
    pub const ABSENT: Self = Self {
        bytes: &[],
        present: false,
    };
    /// A length field of 0.
    pub const EMPTY: Self = Self {
        bytes: &[],
        present: true,
    };

    /// Checks what follows a message's fields.
    #[inline(always)]
    pub(super) fn parse(
        message: u8,
        block: Block,
        fields_length: usize,
        rest: &'a [u8],
    ) -> Result<Self, OuchError> {
        match (block, rest) {
            // The plain case: an order without options.
            (Block::Always, [0, 0]) => Ok(Self::EMPTY),
            (Block::Optional | Block::Never, []) => Ok(Self::ABSENT),
            _ => Self::parse_block(message, block, fields_length, rest),
        }
    }

    fn parse_block(
        message: u8,
        block: Block,
        fields_length: usize,
        rest: &'a [u8],
    ) -> Result<Self, OuchError> {
        let (announced, bytes) = match rest.split_first_chunk::<LENGTH_FIELD>() {
            Some((field, bytes)) if block != Block::Never => {
                (usize::from(u16::from_be_bytes(*field)), bytes)
            }
            _ => {
                let in_fixed = if block == Block::Always {
                    LENGTH_FIELD
                } else {
                    0
                };
                return Err(OuchError::Length {
                    message,
                    length: fields_length + rest.len(),
                    fixed: fields_length + in_fixed,
                });
            }
        };
        if announced != bytes.len() {
            return Err(OuchError::AppendageLength {
                message,
                announced,
                present: bytes.len(),
            });
        }
        if announced > APPENDAGE_LENGTH_MAX {
            return Err(OuchError::AppendageTooLong {
                message,
                length: announced,
                length_max: APPENDAGE_LENGTH_MAX,
            });
        }
        check_elements(message, bytes)?;
        Ok(Self {
            bytes,
            present: true,
        })
    }

    /// The elements' bytes, without the length field.
    #[inline(always)]
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// No elements.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Whether the length field is there.
    #[inline(always)]
    pub fn is_present(&self) -> bool {
        self.present
    }

    /// Elements in the order they were sent.
    #[inline(always)]
    pub fn elements(&self) -> Elements<'a> {
        Elements { rest: self.bytes }
    }

    /// First element with this tag.
    pub fn find(&self, tag: OptionTag) -> Option<Element<'a>> {
        self.elements().find(|element| element.tag == tag)
    }

    /// Value of the first element with this tag, if it has the width of `F`.
    pub fn value<F: Field>(&self, tag: OptionTag) -> Option<F> {
        self.find(tag)?.value()
    }

    /// Channel of the user reference number; 0 = none.
    pub fn user_ref_idx(&self) -> u8 {
        self.value(OptionTag::USER_REF_IDX).unwrap_or(0)
    }

    /// Writes length field and elements after a message's fields; returns how many bytes.
    #[inline(always)]
    pub(super) fn write(&self, block: Block, out: &mut [u8]) -> usize {
        let written = match block {
            Block::Always => true,
            Block::Optional => self.present,
            Block::Never => {
                assert!(self.bytes.is_empty(), "this message has no options");
                false
            }
        };
        if !written {
            return 0;
        }
        let length = LENGTH_FIELD + self.bytes.len();
        out[..LENGTH_FIELD].copy_from_slice(&(self.bytes.len() as u16).to_be_bytes());
        out[LENGTH_FIELD..length].copy_from_slice(self.bytes);
        length
    }
}

fn check_elements(message: u8, bytes: &[u8]) -> Result<(), OuchError> {
    let mut offset = 0;
    while let Some(&length) = bytes.get(offset) {
        let end = offset + 1 + usize::from(length);
        // The length counts the tag: 0 is impossible.
        if length == 0 || end > bytes.len() {
            return Err(OuchError::Element {
                message,
                offset,
                length,
            });
        }
        offset = end;
    }
    Ok(())
}

impl fmt::Debug for Appendage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.present {
            f.debug_list().entries(self.elements()).finish()
        } else {
            f.write_str("absent")
        }
    }
}

/// One option.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Element<'a> {
    pub tag: OptionTag,
    /// As sent: integers big-endian.
    pub bytes: &'a [u8],
}

impl Element<'_> {
    /// The value, if it has the width of `F`.
    pub fn value<F: Field>(&self) -> Option<F> {
        (self.bytes.len() == F::WIDTH).then(|| F::read(self.bytes))
    }
}

impl fmt::Debug for Element<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.tag.spec() {
            Some(spec) => f.write_str(spec.name)?,
            None => write!(f, "tag {}", self.tag.0)?,
        }
        write!(f, " {:02x?}", self.bytes)
    }
}

/// Iterator over checked elements.
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    #[inline]
    fn next(&mut self) -> Option<Element<'a>> {
        let (&length, after) = self.rest.split_first()?;
        // Checked when the message was parsed.
        let (element, rest) = after.split_at_checked(usize::from(length))?;
        let (&tag, bytes) = element.split_first()?;
        self.rest = rest;
        Some(Element {
            tag: OptionTag(tag),
            bytes,
        })
    }
}

/// The appendage bound would be passed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error(
    "option {tag} of {width} bytes does not fit: an appendage has at most {APPENDAGE_LENGTH_MAX} bytes"
)]
pub struct AppendageFull {
    pub tag: u8,
    pub width: usize,
}

/// Builds an appendage; for clients.
#[derive(Clone)]
pub struct AppendageBuffer {
    bytes: [u8; APPENDAGE_LENGTH_MAX],
    length: usize,
}

impl AppendageBuffer {
    pub const fn new() -> Self {
        Self {
            bytes: [0; APPENDAGE_LENGTH_MAX],
            length: 0,
        }
    }

    pub fn clear(&mut self) {
        self.length = 0;
    }

    /// Appends an option whose value is written in the width of its type, whether or not that is the
    /// tag's: what is wrong with it is the venue's to say.
    pub fn push<F: Field>(&mut self, tag: OptionTag, value: F) -> Result<&mut Self, AppendageFull> {
        value.write(self.claim(tag, F::WIDTH)?);
        Ok(self)
    }

    /// Appends an option of any bytes; at most 254.
    pub fn push_bytes(&mut self, tag: OptionTag, value: &[u8]) -> Result<&mut Self, AppendageFull> {
        self.claim(tag, value.len())?.copy_from_slice(value);
        Ok(self)
    }

    fn claim(&mut self, tag: OptionTag, width: usize) -> Result<&mut [u8], AppendageFull> {
        let full = AppendageFull { tag: tag.0, width };
        let length = u8::try_from(1 + width).map_err(|_| full)?;
        let element = self
            .bytes
            .get_mut(self.length..self.length + ELEMENT_HEADER + width)
            .ok_or(full)?;
        self.length += element.len();
        element[0] = length;
        element[1] = tag.0;
        Ok(&mut element[ELEMENT_HEADER..])
    }

    /// Present even when empty; for a message without the length field use [`Appendage::ABSENT`].
    pub fn appendage(&self) -> Appendage<'_> {
        Appendage {
            bytes: &self.bytes[..self.length],
            present: true,
        }
    }
}

impl Default for AppendageBuffer {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for AppendageBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.appendage().fmt(f)
    }
}
