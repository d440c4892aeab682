//! Bytes as a source of choices, aligned bytes, and a seeded generator.

/// Reads choices off the front of the input; zeros when it is used up.
#[derive(Clone, Copy, Debug)]
pub struct Script<'a>(pub &'a [u8]);

impl<'a> Script<'a> {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn u8(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else {
            return 0;
        };
        self.0 = rest;
        *first
    }

    pub fn u16(&mut self) -> u16 {
        u16::from_le_bytes([self.u8(), self.u8()])
    }

    pub fn u32(&mut self) -> u32 {
        u32::from(self.u16()) | u32::from(self.u16()) << 16
    }

    pub fn u64(&mut self) -> u64 {
        u64::from(self.u32()) | u64::from(self.u32()) << 32
    }

    /// One of `of`.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::from(self.u8()) % of.len()]
    }

    pub fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }
}

/// A copy of bytes at an 8-aligned address, as records have it everywhere.
#[derive(Debug)]
pub struct Aligned {
    buffer: Vec<u8>,
    at: usize,
    length: usize,
}

impl Aligned {
    pub fn copy(bytes: &[u8]) -> Self {
        let mut buffer = vec![0; bytes.len() + 8];
        let at = buffer.as_ptr().align_offset(8);
        buffer[at..at + bytes.len()].copy_from_slice(bytes);
        let length = bytes.len();
        Self { buffer, at, length }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.buffer[self.at..self.at + self.length]
    }
}

/// Splitmix64: small, seeded, the same everywhere.
#[derive(Clone, Copy, Debug)]
pub struct Random(pub u64);

impl Random {
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.draw() % bound.max(1) as u64) as usize
    }
}
