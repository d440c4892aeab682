//! Little-endian fields at fixed offsets of a byte array.
//!
//! Callers index arrays of known length, so the slices below cannot be too short.

pub fn get_u16(bytes: &[u8], offset: usize) -> u16 {
    u16::from_le_bytes(get_array(bytes, offset))
}

pub fn get_u32(bytes: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes(get_array(bytes, offset))
}

pub fn get_u64(bytes: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(get_array(bytes, offset))
}

#[inline]
pub fn get_array<const N: usize>(bytes: &[u8], offset: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[offset..offset + N]);
    array
}

pub fn put(bytes: &mut [u8], offset: usize, value: &[u8]) {
    bytes[offset..offset + value.len()].copy_from_slice(value);
}

/// Whether every byte is zero; fast enough to run over whole segments.
pub fn all_zero(bytes: &[u8]) -> bool {
    let mut chunks = bytes.chunks_exact(64);
    chunks
        .by_ref()
        .all(|chunk| chunk.iter().fold(0, |sum, byte| sum | byte) == 0)
        && chunks.remainder().iter().all(|byte| *byte == 0)
}
