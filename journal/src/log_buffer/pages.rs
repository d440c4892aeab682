//! The memory that a ring's file lies in: reserved, and in huge pages where the kernel has them.
//!
//! A write of a megabyte from pages of 4 KiB is 256 pieces for the disk, from a huge page one. The file system
//! below `/dev/shm` gives huge pages to nobody who does not ask, and the file must keep its path, so that it is
//! found again after a kill: so the pages are collapsed here (`MADV_COLLAPSE`, Linux 6.1), which asks for no
//! setting of the host's but that it does not deny it. It never fails a start: without huge pages long writes
//! take longer, and nothing else changes.

use super::layout::{HUGE_PAGE_LENGTH, Identity};
use crate::os;
use crate::position::BLOCK_LENGTH;
use std::fmt;
use std::fs::File;
use std::io;

/// What pages a ring lies in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RingMemory {
    /// All of it.
    HugePages,
    /// In pages of the host's size: shorter than a huge page, or the kernel gave none (its error code).
    SmallPages { code: i32 },
}

impl fmt::Display for RingMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HugePages => f.write_str("huge pages"),
            Self::SmallPages { code: 0 } => f.write_str("small pages: shorter than a huge page"),
            Self::SmallPages { code } => {
                let error = io::Error::from_raw_os_error(*code);
                write!(f, "small pages: the kernel gave no huge ones ({error})")
            }
        }
    }
}

/// Makes every page of header block and ring real memory; an error if there is not enough. The file has its
/// length. What an earlier owner's pages hold stays.
pub(super) fn reserve(file: &File, identity: &Identity) -> io::Result<RingMemory> {
    os::reserve(file, 0, BLOCK_LENGTH)?;
    let (begin, length) = (u64::from(identity.ring_offset), identity.ring_length);
    let memory = collapse(file, begin, length)?;
    // What was collapsed is there already.
    os::reserve(file, begin, length)?;
    Ok(memory)
}

fn collapse(file: &File, begin: u64, length: u64) -> io::Result<RingMemory> {
    if !begin.is_multiple_of(HUGE_PAGE_LENGTH) || !length.is_multiple_of(HUGE_PAGE_LENGTH) {
        return Ok(RingMemory::SmallPages { code: 0 });
    }
    // A hole is not collapsed; with one page in it the kernel fills in the rest, in a third of the time that
    // it takes to zero single pages.
    for piece in 0..length / HUGE_PAGE_LENGTH {
        os::reserve(file, begin + piece * HUGE_PAGE_LENGTH, BLOCK_LENGTH)?;
    }
    Ok(match os::collapse(file, begin, length) {
        Ok(()) => RingMemory::HugePages,
        Err(error) => RingMemory::SmallPages {
            code: error.raw_os_error().unwrap_or(libc::EINVAL),
        },
    })
}
