//! Memory that the kernel may read and write behind our back: one anonymous mapping per purpose, cut
//! into one equal piece per slot. It must never hand out two overlapping mutable views.
#![allow(unsafe_code)]

use std::io;
use std::ops::Range;
use std::ptr::{self, NonNull};
use std::slice;

use crate::error::NetError;

/// A piece per slot of one private anonymous mapping, zero pages until touched.
///
/// Pieces are an odd number of cache lines apart. With a power of two, the first line of every
/// connection would fall into one set of each cache, and a thousand sessions would evict each other.
#[derive(Debug)]
pub(crate) struct Pool {
    base: NonNull<u8>,
    bytes: usize,
    stride: usize,
    piece_bytes: usize,
}

const CACHE_LINE_BYTES: usize = 64;

impl Pool {
    /// Maps `pieces × piece_bytes`.
    pub(crate) fn map(pieces: u32, piece_bytes: usize) -> Result<Self, NetError> {
        assert!(pieces > 0 && piece_bytes > 0);
        let stride = (piece_bytes.div_ceil(CACHE_LINE_BYTES) | 1) * CACHE_LINE_BYTES;
        let bytes = stride
            .checked_mul(pieces as usize)
            .filter(|&bytes| isize::try_from(bytes).is_ok())
            .ok_or_else(|| NetError::Memory {
                bytes: usize::MAX,
                source: io::Error::from_raw_os_error(libc::ENOMEM),
            })?;
        // SAFETY: a fresh anonymous mapping at an address of the kernel's choice touches nothing.
        let address = unsafe {
            libc::mmap(
                ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        if address == libc::MAP_FAILED {
            return Err(NetError::Memory {
                bytes,
                source: io::Error::last_os_error(),
            });
        }
        let base = NonNull::new(address.cast()).expect("mmap never returns null unless asked to");
        Ok(Self {
            base,
            bytes,
            stride,
            piece_bytes,
        })
    }

    pub(crate) fn piece_bytes(&self) -> usize {
        self.piece_bytes
    }

    /// Address of a range of a slot's piece, for the kernel.
    pub(crate) fn pointer(&self, slot: u32, range: &Range<usize>) -> *mut u8 {
        assert!(range.start <= range.end && range.end <= self.piece_bytes);
        let offset = slot as usize * self.stride + range.start;
        assert!(offset + range.len() <= self.bytes);
        // SAFETY: in bounds of the mapping, by the assertion above.
        unsafe { self.base.as_ptr().add(offset) }
    }

    pub(crate) fn bytes(&self, slot: u32, range: Range<usize>) -> &[u8] {
        let pointer = self.pointer(slot, &range);
        // SAFETY: in bounds and initialised (zero pages). The kernel writes only to ranges that a
        // driver has armed, and drivers view only what completions have handed back.
        unsafe { slice::from_raw_parts(pointer, range.len()) }
    }

    pub(crate) fn bytes_mut(&mut self, slot: u32, range: Range<usize>) -> &mut [u8] {
        let pointer = self.pointer(slot, &range);
        // SAFETY: as in `bytes`; `&mut self` excludes any other view of ours. The kernel reads only
        // in-flight ranges, which `outbound` never gives out for writing.
        unsafe { slice::from_raw_parts_mut(pointer, range.len()) }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // SAFETY: exactly what `map` got; drivers drop a pool only once no operation uses it.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.bytes) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_apart_and_an_odd_number_of_lines() {
        let mut pool = Pool::map(3, 4096).unwrap();
        assert_eq!(pool.stride % CACHE_LINE_BYTES, 0);
        assert_eq!(pool.stride / CACHE_LINE_BYTES % 2, 1);
        for slot in 0..3 {
            pool.bytes_mut(slot, 0..4096).fill(slot as u8 + 1);
        }
        for slot in 0..3 {
            assert!(
                pool.bytes(slot, 0..4096)
                    .iter()
                    .all(|&byte| byte == slot as u8 + 1)
            );
        }
    }

    #[test]
    #[should_panic(expected = "assertion")]
    fn a_range_beyond_the_piece_is_refused() {
        Pool::map(2, 100).unwrap().bytes(0, 90..101);
    }

    #[test]
    fn too_much_is_an_error() {
        assert!(matches!(
            Pool::map(u32::MAX, 1 << 40),
            Err(NetError::Memory { .. })
        ));
    }
}
