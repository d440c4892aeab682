//! The memory of a log buffer: its header block and its ring, mapped twice in a row.
//!
//! All unsafe access to that memory is here and in [`RingWriter`] and [`RingReader`], whose checks make it
//! sound by themselves: a writer stores only behind what is published and only over what every consumer
//! and the journal's writer have passed; a reader reads only what is published and what it still holds.
//!
//! Another process could store into the file; it belongs to one owner (mode 0600, locked), and only the
//! owner's mistakes are guarded against, as with the segments.
#![allow(unsafe_code)]

use super::layout::{
    self, COMMIT_INDEX, COMMIT_POSITION, CONSUMERS_MAX, DURABLE_POSITION, FREED_POSITION,
    HUGE_PAGE_LENGTH, IDENTITY_LENGTH, Identity, NO_CONSUMER, PUBLISHED_INDEX, PUBLISHED_POSITION,
};
use crate::batch::BATCH_HEADER_LENGTH;
use crate::position::BLOCK_LENGTH;
use crate::{LogPosition, LogTail};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const HEADER_LENGTH: usize = BLOCK_LENGTH as usize;

/// Owner of the mappings; unmapped when the last agent drops its handle.
#[derive(Debug)]
pub struct Mapping {
    header: NonNull<u8>,
    /// `2 * ring_length` bytes; the second half shows the first again.
    ring: NonNull<u8>,
    ring_length: u64,
    memory_locked: bool,
}

// SAFETY: the pointers are to memory owned by this value until drop; every access through `&self` is
// atomic, or goes through RingWriter (one per mapping, `&mut self`) and RingReader (published bytes only).
unsafe impl Send for Mapping {}
// SAFETY: as for Send.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `file`, which is long enough for both. Locks the memory if the limits allow it.
    pub fn new(file: &File, identity: &Identity) -> io::Result<Self> {
        let (ring_length, offset) = (identity.ring_length, identity.ring_offset as usize);
        let ring_bytes = usize::try_from(ring_length).map_err(|_| io::ErrorKind::InvalidInput)?;
        let header = map_shared(ptr::null_mut(), file, 0, HEADER_LENGTH)?;
        let ring = match map_twice(file, offset, ring_bytes) {
            Ok(ring) => ring,
            Err(error) => {
                unmap(header, HEADER_LENGTH);
                return Err(error);
            }
        };
        // SAFETY: the range is the one mapped above; mlock changes residency only.
        let locked = unsafe { libc::mlock(ring.as_ptr().cast(), 2 * ring_bytes) };
        Ok(Self {
            header,
            ring,
            ring_length,
            memory_locked: locked == 0,
        })
    }

    /// Whether `mlock` succeeded: page faults on the ring are impossible.
    pub fn memory_locked(&self) -> bool {
        self.memory_locked
    }

    /// The counter at `offset` of the header block.
    pub fn counter(&self, offset: usize) -> &AtomicU64 {
        assert!(
            offset >= IDENTITY_LENGTH && offset + 8 <= HEADER_LENGTH && offset.is_multiple_of(8)
        );
        // SAFETY: in bounds and aligned (asserted; the mapping is page-aligned); counters are only
        // ever accessed as atomics, and live as long as `self`.
        unsafe { AtomicU64::from_ptr(self.header.as_ptr().add(offset).cast()) }
    }

    /// Starts a new life: no valid identity, the base block (`prefix` up to `tail`, then zeros), all
    /// counters at `tail`, then the identity with its magic last.
    pub fn initialise(&mut self, identity: &[u8; IDENTITY_LENGTH], tail: &LogTail, prefix: &[u8]) {
        self.magic().store(0, Ordering::SeqCst);
        self.store_base_block(tail.position, prefix);
        self.store_counters(tail);
        let rest = IDENTITY_LENGTH - 8;
        // SAFETY: in bounds of the header block; `&mut self`: nobody else reads it.
        unsafe {
            ptr::copy_nonoverlapping(identity[8..].as_ptr(), self.header.as_ptr().add(8), rest);
        }
        let magic = u64::from_le_bytes(crate::bytes::get_array(identity, 0));
        self.magic().store(magic, Ordering::SeqCst);
    }

    fn store_base_block(&mut self, base: LogPosition, prefix: &[u8]) {
        let block = base.block_floor();
        let length = base.0 - block.0;
        assert_eq!(
            length,
            prefix.len() as u64,
            "prefix is the base block's begin"
        );
        let at = self.offset(block);
        // SAFETY: `&mut self`: no reader or writer exists; one block fits into the doubled ring.
        unsafe { ptr::write_bytes(self.ring.as_ptr().add(at), 0, HEADER_LENGTH) };
        // SAFETY: the prefix is shorter than the block just zeroed and does not overlap the ring.
        unsafe {
            ptr::copy_nonoverlapping(prefix.as_ptr(), self.ring.as_ptr().add(at), prefix.len())
        };
    }

    fn store_counters(&mut self, tail: &LogTail) {
        let positions = [
            PUBLISHED_POSITION,
            DURABLE_POSITION,
            FREED_POSITION,
            COMMIT_POSITION,
        ];
        for offset in positions {
            self.counter(offset)
                .store(tail.position.0, Ordering::SeqCst);
        }
        for offset in [PUBLISHED_INDEX, COMMIT_INDEX] {
            self.counter(offset).store(tail.index, Ordering::SeqCst);
        }
        for slot in 0..CONSUMERS_MAX {
            self.counter(layout::consumer(slot))
                .store(NO_CONSUMER, Ordering::SeqCst);
        }
    }

    fn magic(&self) -> &AtomicU64 {
        // SAFETY: offset 0 of a page-aligned mapping that lives as long as `self`.
        unsafe { AtomicU64::from_ptr(self.header.as_ptr().cast()) }
    }

    fn offset(&self, position: LogPosition) -> usize {
        (position.0 & (self.ring_length - 1)) as usize
    }

    /// Where `position` lies in memory, for handing to the kernel; `length` bytes from there are mapped.
    pub fn pointer(&self, position: LogPosition, length: u64) -> *const u8 {
        assert!(length <= self.ring_length, "longer than the ring");
        // SAFETY: the offset is below ring_length and the length at most that: in the doubled mapping.
        unsafe { self.ring.as_ptr().add(self.offset(position)) }
    }

    /// Begin and length of the doubled mapping, for registration with the kernel.
    pub fn doubled(&self) -> (*const u8, usize) {
        (self.ring.as_ptr(), 2 * self.ring_length as usize)
    }

    /// The ring as one slice, for recovery of an earlier owner's buffer.
    pub fn ring_bytes(&mut self) -> &[u8] {
        // SAFETY: mapped and initialised memory; `&mut self` for the slice's life: nobody writes.
        unsafe { std::slice::from_raw_parts(self.ring.as_ptr(), self.ring_length as usize) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        unmap(self.ring, 2 * self.ring_length as usize);
        unmap(self.header, HEADER_LENGTH);
    }
}

fn map_shared(at: *mut u8, file: &File, offset: usize, length: usize) -> io::Result<NonNull<u8>> {
    let fixed = if at.is_null() { 0 } else { libc::MAP_FIXED };
    let flags = libc::MAP_SHARED | libc::MAP_POPULATE | fixed;
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let (fd, offset) = (file.as_raw_fd(), offset as libc::off_t);
    // SAFETY: either a fresh mapping (`at` null), or one over a range that `map_twice` reserved and owns.
    let address = unsafe { libc::mmap(at.cast(), length, protection, flags, fd, offset) };
    checked(address)
}

/// Reserves twice the length of address space, then maps the ring's bytes into both halves.
fn map_twice(file: &File, offset: usize, length: usize) -> io::Result<NonNull<u8>> {
    let reserved = reserve_aligned(2 * length)?;
    // SAFETY: half of the reservation above, in bounds.
    let second = unsafe { reserved.as_ptr().add(length) };
    for half in [reserved.as_ptr(), second] {
        if let Err(error) = map_shared(half, file, offset, length) {
            unmap(reserved, 2 * length);
            return Err(error);
        }
    }
    Ok(reserved)
}

/// Address space without access, from a multiple of a huge page: the file's huge pages are mapped as such.
fn reserve_aligned(length: usize) -> io::Result<NonNull<u8>> {
    let (huge, flags) = (
        HUGE_PAGE_LENGTH as usize,
        libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
    );
    let (whole, none) = (length + huge, libc::PROT_NONE);
    // SAFETY: a fresh anonymous mapping without access; touches no existing memory.
    let address = unsafe { libc::mmap(ptr::null_mut(), whole, none, flags, -1, 0) };
    let reserved = checked(address)?;
    let skip = reserved.as_ptr().align_offset(huge);
    // SAFETY: at most a huge page into the reservation.
    let begin = unsafe { reserved.add(skip) };
    // SAFETY: the end of what is kept: at most the end of the reservation.
    let end = unsafe { begin.add(length) };
    for (unused, length) in [(reserved, skip), (end, huge - skip)] {
        if length > 0 {
            unmap(unused, length);
        }
    }
    Ok(begin)
}

fn checked(address: *mut libc::c_void) -> io::Result<NonNull<u8>> {
    if address == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    NonNull::new(address.cast()).ok_or_else(|| io::ErrorKind::OutOfMemory.into())
}

fn unmap(address: NonNull<u8>, length: usize) {
    // SAFETY: called once for a range this module mapped and that nothing refers to any more.
    let result = unsafe { libc::munmap(address.as_ptr().cast(), length) };
    debug_assert_eq!(result, 0, "munmap of our own mapping");
}

/// The only writer of a ring. Refuses, by assertion, to touch a byte that anybody may still read.
#[derive(Debug)]
pub struct RingWriter {
    mapping: Arc<Mapping>,
    published: LogPosition,
    /// Bytes before it may be stored to; from the last [`Self::refresh`].
    ceiling: LogPosition,
}

impl RingWriter {
    /// The caller makes sure that there is only one (`LogBuffer::appender` does, by a flag).
    pub(super) fn new(mapping: Arc<Mapping>) -> Self {
        let published = LogPosition(mapping.counter(PUBLISHED_POSITION).load(Ordering::Acquire));
        let mut writer = Self {
            mapping,
            published,
            ceiling: published,
        };
        writer.refresh();
        writer
    }

    pub fn published(&self) -> LogPosition {
        self.published
    }

    pub fn ceiling(&self) -> LogPosition {
        self.ceiling
    }

    /// Looks how far consumers and the journal's writer have come; the only read of their counters.
    pub fn refresh(&mut self) {
        let durable = self
            .mapping
            .counter(DURABLE_POSITION)
            .load(Ordering::Acquire);
        // The block that holds the durable position is written again when it fills.
        let mut freed = LogPosition(durable).block_floor().0;
        for slot in 0..CONSUMERS_MAX {
            freed = freed.min(
                self.mapping
                    .counter(layout::consumer(slot))
                    .load(Ordering::Acquire),
            );
        }
        self.mapping
            .counter(FREED_POSITION)
            .store(freed, Ordering::Relaxed);
        self.ceiling = LogPosition(freed.saturating_add(self.mapping.ring_length));
    }

    fn check(&self, position: LogPosition, length: u64) -> usize {
        let end = position.0 + length;
        assert!(
            position >= self.published && end <= self.ceiling.0,
            "store outside the free ring"
        );
        self.mapping.offset(position)
    }

    #[inline]
    pub fn copy(&mut self, position: LogPosition, bytes: &[u8]) {
        let at = self.check(position, bytes.len() as u64);
        // SAFETY: `check`: the range is neither published nor held by a consumer, so nobody in this
        // process reads it as a slice; it lies in the doubled mapping, and `&mut self` is unique.
        unsafe {
            let target = self.mapping.ring.as_ptr().add(at);
            ptr::copy_nonoverlapping(bytes.as_ptr(), target, bytes.len());
        }
    }

    #[inline]
    pub fn zero(&mut self, from: LogPosition, to: LogPosition) {
        let at = self.check(from, to.0 - from.0);
        // SAFETY: as in `copy`.
        unsafe {
            ptr::write_bytes(
                self.mapping.ring.as_ptr().add(at),
                0,
                (to.0 - from.0) as usize,
            )
        };
    }

    /// What this writer has stored behind the published position.
    #[inline]
    pub fn unpublished(&self, position: LogPosition, length: u64) -> &[u8] {
        let at = self.check(position, length);
        // SAFETY: as in `copy`; stores need `&mut self`, so none happens while the slice lives.
        unsafe { std::slice::from_raw_parts(self.mapping.ring.as_ptr().add(at), length as usize) }
    }

    /// Stores the header, its magic last, then moves the published position to `end`.
    #[inline]
    pub fn publish(
        &mut self,
        position: LogPosition,
        header: &[u8; BATCH_HEADER_LENGTH],
        end: LogPosition,
        index: u64,
    ) {
        assert!(
            end.0 >= position.0 + BATCH_HEADER_LENGTH as u64,
            "a batch is longer than its header"
        );
        self.copy(position.plus(8), &header[8..]);
        let at = self.check(position, 8);
        let magic = u64::from_le_bytes(crate::bytes::get_array(header, 0));
        // SAFETY: in bounds (`check`) and 8-aligned, since batches are 64-aligned; see `copy`.
        let field = unsafe { AtomicU64::from_ptr(self.mapping.ring.as_ptr().add(at).cast()) };
        field.store(magic, Ordering::Release);
        self.mapping
            .counter(PUBLISHED_INDEX)
            .store(index, Ordering::Relaxed);
        self.mapping
            .counter(PUBLISHED_POSITION)
            .store(end.0, Ordering::Release);
        self.published = end;
    }
}

/// One consumer of a ring: what it has not released stays as it is.
#[derive(Debug)]
pub struct RingReader {
    mapping: Arc<Mapping>,
    slot: usize,
    /// Everything before it is released.
    position: LogPosition,
}

impl RingReader {
    /// The caller makes sure that no [`RingWriter`] exists yet and that nobody else has `slot`.
    pub(super) fn new(mapping: Arc<Mapping>, slot: usize, position: LogPosition) -> Self {
        mapping
            .counter(layout::consumer(slot))
            .store(position.0, Ordering::SeqCst);
        Self {
            mapping,
            slot,
            position,
        }
    }

    pub fn position(&self) -> LogPosition {
        self.position
    }

    pub fn published(&self) -> LogPosition {
        LogPosition(
            self.mapping
                .counter(PUBLISHED_POSITION)
                .load(Ordering::Acquire),
        )
    }

    pub fn counter(&self, offset: usize) -> &AtomicU64 {
        self.mapping.counter(offset)
    }

    /// Published bytes that this consumer holds.
    #[inline]
    pub fn slice(&self, position: LogPosition, length: u64) -> &[u8] {
        let end = position.0 + length;
        assert!(
            position >= self.position && end <= self.published().0,
            "bytes not held"
        );
        assert!(length <= self.mapping.ring_length);
        let at = self.mapping.offset(position);
        // SAFETY: published (Acquire above), so fully stored; at or behind this consumer's position, so
        // the writer may not store there before `release`, which needs `&mut self`.
        unsafe { std::slice::from_raw_parts(self.mapping.ring.as_ptr().add(at), length as usize) }
    }

    /// Gives back everything before `position`.
    #[inline]
    pub fn release(&mut self, position: LogPosition) {
        assert!(position >= self.position, "a consumer never goes back");
        if position > self.position {
            self.position = position;
            self.mapping
                .counter(layout::consumer(self.slot))
                .store(position.0, Ordering::Release);
        }
    }
}

impl Drop for RingReader {
    fn drop(&mut self) {
        self.mapping
            .counter(layout::consumer(self.slot))
            .store(NO_CONSUMER, Ordering::Release);
    }
}
