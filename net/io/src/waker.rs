//! Wakes a driver that waits, from another thread: an eventfd, and a flag that saves the call when nobody
//! waits.
//!
//! The waiter announces, looks once more for what it waits for, then waits; the other side makes its work
//! visible, then looks at the flag. A fence on either side: at least one sees the other.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};

#[derive(Debug)]
struct Shared {
    event: OwnedFd,
    /// Somebody waits, or is about to.
    waiting: AtomicBool,
}

/// A handle of one waiter's bell; cheap to clone.
#[derive(Clone, Debug)]
pub struct Waker {
    shared: Arc<Shared>,
}

impl Waker {
    /// A new one, for one waiter.
    ///
    /// # Errors
    /// The system's, if it has no descriptors left.
    pub fn new() -> io::Result<Self> {
        // SAFETY: no memory is passed.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a new descriptor that nobody else owns.
        let event = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self {
            shared: Arc::new(Shared {
                event,
                waiting: AtomicBool::new(false),
            }),
        })
    }

    /// Wakes the waiter, if it waits. Call after the work was made visible. While nobody waits it costs a
    /// fence and a load.
    #[inline]
    pub fn wake(&self) {
        fence(Ordering::SeqCst);
        if self.shared.waiting.load(Ordering::Relaxed) {
            self.ring();
        }
    }

    #[cold]
    fn ring(&self) {
        if !self.shared.waiting.swap(false, Ordering::AcqRel) {
            return;
        }
        let one = 1u64;
        // SAFETY: 8 bytes of a value that lives through the call. It can only fail if the count is at its
        // end, and then the waiter is awake.
        unsafe {
            libc::write(
                self.shared.event.as_raw_fd(),
                std::ptr::from_ref(&one).cast(),
                size_of::<u64>(),
            )
        };
    }

    /// The waiter is about to wait. It must look for work once more before it does.
    pub fn announce(&self) {
        self.shared.waiting.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// The waiter waits no more; what was rung is forgotten.
    pub fn retract(&self) {
        self.shared.waiting.store(false, Ordering::Relaxed);
        let mut count = 0u64;
        // SAFETY: 8 writable bytes that live through the call; the descriptor does not block, and nothing to
        // read is no error here.
        unsafe {
            libc::read(
                self.shared.event.as_raw_fd(),
                std::ptr::from_mut(&mut count).cast(),
                size_of::<u64>(),
            )
        };
    }

    pub(crate) fn descriptor(&self) -> RawFd {
        self.shared.event.as_raw_fd()
    }
}
