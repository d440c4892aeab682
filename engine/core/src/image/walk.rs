//! The two ways through the image: a [`Writer`] emits every field, a [`Reader`] fills every field, both led
//! by the same functions of `image.rs`.
//!
//! Integers little-endian, no padding. A reader never panics and never trusts: after the first fault it
//! gives zeros and remembers the fault; who reads a list asks before each element.

use super::{ImageSink, LoadError, Section};

/// Goes through fields front to back. Each takes the field by reference: it is read or it is set.
pub(crate) trait Walk {
    fn bytes(&mut self, bytes: &mut [u8]);
    /// The value just walked is not legal; a writer has nothing to say about it.
    fn refuse(&mut self, what: &'static str);

    #[inline(always)]
    fn u8(&mut self, value: &mut u8) {
        self.bytes(core::slice::from_mut(value));
    }
    #[inline(always)]
    fn u16(&mut self, value: &mut u16) {
        let mut bytes = value.to_le_bytes();
        self.bytes(&mut bytes);
        *value = u16::from_le_bytes(bytes);
    }
    #[inline(always)]
    fn u32(&mut self, value: &mut u32) {
        let mut bytes = value.to_le_bytes();
        self.bytes(&mut bytes);
        *value = u32::from_le_bytes(bytes);
    }
    #[inline(always)]
    fn u64(&mut self, value: &mut u64) {
        let mut bytes = value.to_le_bytes();
        self.bytes(&mut bytes);
        *value = u64::from_le_bytes(bytes);
    }
    /// Signed 128 bits, for notional sums.
    #[inline(always)]
    #[allow(dead_code)] // for the risk state that is being built
    fn i128(&mut self, value: &mut i128) {
        let mut bytes = value.to_le_bytes();
        self.bytes(&mut bytes);
        *value = i128::from_le_bytes(bytes);
    }
    /// 0 or 1.
    #[inline(always)]
    fn flag(&mut self, value: &mut bool) {
        let mut byte = u8::from(*value);
        self.u8(&mut byte);
        if byte > 1 {
            self.refuse("a flag is neither 0 nor 1");
        }
        *value = byte == 1;
    }
}

const BUFFER_BYTES: usize = 4096;

/// Emits the image in pieces of at most 4 KiB.
pub(crate) struct Writer<'a> {
    sink: &'a mut dyn ImageSink,
    buffer: [u8; BUFFER_BYTES],
    filled: usize,
}

impl<'a> Writer<'a> {
    pub fn new(sink: &'a mut dyn ImageSink) -> Self {
        Self {
            sink,
            buffer: [0; BUFFER_BYTES],
            filled: 0,
        }
    }

    /// Begins a section; its tag is part of what is hashed, by the sink.
    pub fn section(&mut self, section: Section) {
        self.flush();
        self.sink.section(section);
    }

    pub fn flush(&mut self) {
        if self.filled != 0 {
            self.sink.bytes(&self.buffer[..self.filled]);
            self.filled = 0;
        }
    }

    /// A count or an id that no structure holds.
    #[inline(always)]
    pub fn put(&mut self, mut value: u32) {
        self.u32(&mut value);
    }
}

impl Walk for Writer<'_> {
    #[inline(always)]
    fn bytes(&mut self, bytes: &mut [u8]) {
        debug_assert!(bytes.len() <= BUFFER_BYTES);
        if self.filled + bytes.len() > BUFFER_BYTES {
            self.flush();
        }
        self.buffer[self.filled..self.filled + bytes.len()].copy_from_slice(bytes);
        self.filled += bytes.len();
    }

    #[inline(always)]
    fn refuse(&mut self, _: &'static str) {}
}

/// Fills fields from the sections of an image.
pub(crate) struct Reader<'a> {
    sections: core::slice::Iter<'a, (Section, &'a [u8])>,
    section: Section,
    rest: &'a [u8],
    fault: Option<LoadError>,
}

impl<'a> Reader<'a> {
    pub fn new(sections: &'a [(Section, &'a [u8])]) -> Self {
        Self {
            sections: sections.iter(),
            section: Section::Position,
            rest: &[],
            fault: None,
        }
    }

    /// The section before must have been read to its end, and this one must be the next.
    pub fn section(&mut self, wanted: Section) -> Result<(), LoadError> {
        self.check()?;
        let found = self.next_section()?;
        if found != Some(wanted) {
            return Err(LoadError::Section { wanted, found });
        }
        Ok(())
    }

    /// Nothing may follow.
    pub fn end(&mut self) -> Result<(), LoadError> {
        self.check()?;
        match self.next_section()? {
            None => Ok(()),
            Some(section) => Err(LoadError::Unknown { section }),
        }
    }

    fn next_section(&mut self) -> Result<Option<Section>, LoadError> {
        if !self.rest.is_empty() {
            return Err(LoadError::Trailing {
                section: self.section,
                bytes: self.rest.len(),
            });
        }
        let Some((section, bytes)) = self.sections.next() else {
            return Ok(None);
        };
        (self.section, self.rest) = (*section, bytes);
        Ok(Some(*section))
    }

    /// The first fault so far.
    #[inline(always)]
    pub fn check(&self) -> Result<(), LoadError> {
        match self.fault {
            None => Ok(()),
            Some(fault) => Err(fault),
        }
    }

    /// A value of this section that contradicts the rest.
    #[cold]
    pub fn wrong(&self, what: &'static str) -> LoadError {
        LoadError::Value {
            section: self.section,
            what,
        }
    }

    /// Two words so many bytes further on, zeros behind the section's end: a guess at what comes.
    #[inline(always)]
    pub fn coming(&self, distance: usize) -> (u32, u32) {
        let here = self.rest.get(distance..distance + 8);
        let bytes: [u8; 8] = here.and_then(|b| b.try_into().ok()).unwrap_or_default();
        let words = u64::from_le_bytes(bytes);
        (words as u32, (words >> 32) as u32)
    }

    /// A count or an id that no structure holds.
    #[inline(always)]
    pub fn get(&mut self) -> Result<u32, LoadError> {
        let mut value = 0;
        self.u32(&mut value);
        self.check()?;
        Ok(value)
    }
}

impl Walk for Reader<'_> {
    #[inline(always)]
    fn bytes(&mut self, bytes: &mut [u8]) {
        match self.rest.split_at_checked(bytes.len()) {
            Some((here, rest)) => {
                bytes.copy_from_slice(here);
                self.rest = rest;
            }
            None => {
                bytes.fill(0);
                self.rest = &[];
                let section = self.section;
                self.fault.get_or_insert(LoadError::Truncated { section });
            }
        }
    }

    #[cold]
    fn refuse(&mut self, what: &'static str) {
        let fault = self.wrong(what);
        self.fault.get_or_insert(fault);
    }
}
