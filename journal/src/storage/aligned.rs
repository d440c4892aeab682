//! Memory that direct writes accept: aligned to a block.

use crate::position::BLOCK_LENGTH;

#[derive(Debug)]
pub(crate) struct AlignedBuffer {
    bytes: Vec<u8>,
    skip: usize,
    length: usize,
}

impl AlignedBuffer {
    /// `length` zeros.
    pub fn new(length: usize) -> Self {
        let block = BLOCK_LENGTH as usize;
        let bytes = vec![0; length + block];
        let skip = bytes.as_ptr().align_offset(block);
        Self {
            bytes,
            skip,
            length,
        }
    }

    pub fn get(&self, length: usize) -> &[u8] {
        &self.bytes[self.skip..self.skip + length]
    }

    pub fn get_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.skip..self.skip + self.length]
    }
}
