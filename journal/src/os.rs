//! The system calls that the standard library does not have, each behind a safe function.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;

/// What the processor and the disk take as one piece where the memory allows it.
pub const HUGE_PAGE_LENGTH: u64 = 2 << 20;

/// Takes an exclusive `flock` without waiting; `false` if another open file holds it.
pub fn try_lock(file: &File) -> io::Result<bool> {
    // SAFETY: the descriptor is open for as long as `file` is borrowed; flock touches no memory.
    let result = unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) };
    if result == 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    if error.raw_os_error() == Some(libc::EWOULDBLOCK) {
        Ok(false)
    } else {
        Err(error)
    }
}

/// Reserves `length` bytes of real space from `offset`, so that no later store or write finds none. Bytes that
/// are there stay.
pub fn reserve(file: &File, offset: u64, length: u64) -> io::Result<()> {
    let offset = libc::off_t::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput)?;
    let length = libc::off_t::try_from(length).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: the descriptor is open for as long as `file` is borrowed; no memory is touched.
    let result = unsafe { libc::posix_fallocate(file.as_raw_fd(), offset, length) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(result))
    }
}

/// Drops the file's pages from the cache, as far as nobody has them mapped or has changed them. Advice only.
pub fn drop_pages(file: &File) {
    // SAFETY: the descriptor is open for as long as `file` is borrowed; no memory of ours is touched.
    unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
}

/// Magic number of the file system that holds `file` (`statfs.f_type`).
pub fn file_system_magic(file: &File) -> io::Result<u64> {
    let mut status = MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: `status` is writable memory of the size fstatfs fills; the descriptor is open.
    let result = unsafe { libc::fstatfs(file.as_raw_fd(), status.as_mut_ptr()) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: fstatfs returned success, so it filled the whole structure.
    let status = unsafe { status.assume_init() };
    Ok(status.f_type as u64)
}

/// Memory that is mapped for a moment.
struct Reservation {
    address: *mut libc::c_void,
    length: usize,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        // SAFETY: mapped by `collapse`, which hands the address to nobody.
        unsafe { libc::munmap(self.address, self.length) };
    }
}

/// Moves the bytes of a memory file into huge pages, whatever the host's setting for such files (unless it
/// denies it). `offset` and `length` are multiples of a huge page; each of them must have a page already.
pub fn collapse(file: &File, offset: u64, length: u64) -> io::Result<()> {
    let offset = libc::off_t::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput)?;
    let length = usize::try_from(length).map_err(|_| io::ErrorKind::InvalidInput)?;
    let reserved = reserve_addresses(length + HUGE_PAGE_LENGTH as usize)?;
    let skip = reserved
        .address
        .cast::<u8>()
        .align_offset(HUGE_PAGE_LENGTH as usize);
    let at = reserved.address.wrapping_byte_add(skip);
    let (protection, flags) = (
        libc::PROT_READ | libc::PROT_WRITE,
        libc::MAP_SHARED | libc::MAP_FIXED,
    );
    // SAFETY: the range lies in the reservation above, which nothing else uses, and is unmapped with it.
    let mapped = unsafe { libc::mmap(at, length, protection, flags, file.as_raw_fd(), offset) };
    if mapped == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the range mapped above; the advice moves its bytes to other pages and changes none.
    match unsafe { libc::madvise(mapped, length, libc::MADV_COLLAPSE) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn reserve_addresses(length: usize) -> io::Result<Reservation> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a fresh anonymous mapping without access; touches no existing memory.
    let address =
        unsafe { libc::mmap(std::ptr::null_mut(), length, libc::PROT_NONE, flags, -1, 0) };
    if address == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    Ok(Reservation { address, length })
}

/// One write from memory that may change meanwhile, as a ring's does; the kernel copies or transfers it.
/// The caller keeps `length` bytes at `memory` mapped; an unmapped range is EFAULT, not undefined.
pub fn write_memory(file: &File, memory: *const u8, length: u64, offset: u64) -> io::Result<usize> {
    let (length, offset) = (length as usize, offset as libc::off_t);
    // SAFETY: the kernel only reads the range, and checks that it is mapped; the descriptor is open.
    let written = unsafe { libc::pwrite(file.as_raw_fd(), memory.cast(), length, offset) };
    usize::try_from(written).map_err(|_| io::Error::last_os_error())
}
