//! Read-only bytes of a whole file: a mapping, or memory.
#![allow(unsafe_code)]

use memmap2::{Advice, Mmap};
use std::fs::File;
use std::io;
use std::ops::Deref;
use std::sync::Arc;

/// At least 8-aligned.
#[derive(Debug)]
pub struct StorageBytes(Source);

#[derive(Debug)]
enum Source {
    Mapped(Mmap, Pages),
    Memory(Arc<[u64]>, usize),
}

/// The mapped file's pages in the cache. Behind the mapping: what is mapped cannot be dropped.
#[derive(Debug)]
struct Pages {
    file: File,
    leave: bool,
}

impl Drop for Pages {
    fn drop(&mut self) {
        if !self.leave {
            crate::os::drop_pages(&self.file);
        }
    }
}

impl StorageBytes {
    /// Maps `file`. Its pages are read when first touched and go when this value is dropped.
    pub(super) fn map(file: File) -> io::Result<Self> {
        if file.metadata()?.len() == 0 {
            return Ok(Self::copy_of(&[]));
        }
        // SAFETY: journal files are written only beyond what a reader has verified, or identically, and
        // are never shortened while the journal's lock is held; readers verify before they trust. Whoever
        // shortens a file under a live reader by other means gets SIGBUS, as with any mapped file.
        let map = unsafe { Mmap::map(&file)? };
        // Advice only: refusal changes nothing but speed.
        let _ = map.advise(Advice::Sequential);
        let leave = true;
        Ok(Self(Source::Mapped(map, Pages { file, leave })))
    }

    /// For files that are read as a whole and that nobody writes: pages that are not in memory yet come in huge ones,
    /// which are read in one go and mapped by one fault. Not where a writer follows: its direct writes would have
    /// to drop what was read ahead of it.
    pub(crate) fn prefer_huge_pages(&self) {
        if let Source::Mapped(map, _) = &self.0 {
            // Advice only.
            let _ = map.advise(Advice::HugePage);
        }
    }

    /// For files that somebody may be writing: their pages leave the cache with this value. As long as a file has any, each
    /// direct write looks for those it overwrites, and ends in a kernel worker on the writer's core.
    pub(crate) fn leave_no_page(&mut self) {
        if let Source::Mapped(_, pages) = &mut self.0 {
            pages.leave = false;
        }
    }

    /// A copy in memory, aligned as a mapping would be for records.
    pub(super) fn copy_of(bytes: &[u8]) -> Self {
        let mut words = vec![0u64; bytes.len().div_ceil(8)];
        for (word, chunk) in words.iter_mut().zip(bytes.chunks(8)) {
            let mut padded = [0; 8];
            padded[..chunk.len()].copy_from_slice(chunk);
            *word = u64::from_ne_bytes(padded);
        }
        Self(Source::Memory(words.into(), bytes.len()))
    }
}

impl Deref for StorageBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Source::Mapped(map, _) => map,
            // SAFETY: `length` is at most eight times the words (`copy_of`); u8 has no alignment and no
            // invalid value; the words live as long as `self`.
            Source::Memory(words, length) => unsafe {
                std::slice::from_raw_parts(words.as_ptr().cast(), *length)
            },
        }
    }
}
