//! The system calls that the standard library does not have, each behind a safe function.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;

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

/// Reserves `length` bytes of real space, so that no later store or write finds none.
pub fn reserve(file: &File, length: u64) -> io::Result<()> {
    let length = libc::off_t::try_from(length).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: the descriptor is open for as long as `file` is borrowed; no memory is touched.
    let result = unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, length) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(result))
    }
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

/// One write from memory that may change meanwhile, as a ring's does; the kernel copies or transfers it.
/// The caller keeps `length` bytes at `memory` mapped; an unmapped range is EFAULT, not undefined.
pub fn write_memory(file: &File, memory: *const u8, length: u64, offset: u64) -> io::Result<usize> {
    let (length, offset) = (length as usize, offset as libc::off_t);
    // SAFETY: the kernel only reads the range, and checks that it is mapped; the descriptor is open.
    let written = unsafe { libc::pwrite(file.as_raw_fd(), memory.cast(), length, offset) };
    usize::try_from(written).map_err(|_| io::Error::last_os_error())
}
