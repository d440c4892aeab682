//! The ring itself: set-up, queueing of operations, `enter`, completions. It knows no connection.
//!
//! It must never be used by another thread than the one that made it (SINGLE_ISSUER): the driver that
//! owns it is not `Send`.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::RawFd;
use std::time::Duration;

use io_uring::types::{CancelBuilder, Fd, SubmitArgs, Timespec};
use io_uring::{EnterFlags, IoUring, Probe, cqueue, opcode, squeue};

/// IORING_RECVSEND_POLL_FIRST: wait for readiness before the first try (Linux 5.19).
const POLL_FIRST: u16 = 1;

/// What the driver needs of the kernel, beside the set-up flags: opcode and its name for messages.
const OPERATIONS: [(u8, &str); 6] = [
    (opcode::Accept::CODE, "ACCEPT"),
    (opcode::Connect::CODE, "CONNECT"),
    (opcode::Send::CODE, "SEND"),
    (opcode::Recv::CODE, "RECV"),
    (opcode::AsyncCancel::CODE, "ASYNC_CANCEL"),
    (opcode::PollAdd::CODE, "POLL_ADD"),
];

/// A ring of this thread.
pub(crate) struct Ring {
    io: IoUring,
    /// Something queued should not wait for the next idle poll.
    urgent: bool,
    pub(crate) enters: u64,
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ring")
            .field("enters", &self.enters)
            .finish_non_exhaustive()
    }
}

/// Why a ring cannot be used.
#[derive(Debug)]
pub(crate) enum SetupError {
    /// `io_uring_setup` failed.
    Setup(io::Error),
    /// The kernel lacks an operation or feature.
    Lacks(&'static str),
}

impl Ring {
    /// A ring for at most `submissions` queued operations and `completions` unseen results.
    pub(crate) fn new(submissions: u32, completions: u32) -> Result<Self, SetupError> {
        let io: IoUring = IoUring::builder()
            .dontfork()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .setup_submit_all()
            .setup_clamp()
            .setup_cqsize(completions)
            .build(submissions)
            .map_err(SetupError::Setup)?;
        if !io.params().is_feature_ext_arg() {
            return Err(SetupError::Lacks("the feature EXT_ARG (Linux 5.11)"));
        }
        if !io.params().is_feature_nodrop() {
            return Err(SetupError::Lacks("the feature NODROP (Linux 5.5)"));
        }
        let mut probe = Probe::new();
        io.submitter()
            .register_probe(&mut probe)
            .map_err(SetupError::Setup)?;
        for (code, name) in OPERATIONS {
            if !probe.is_supported(code) {
                return Err(SetupError::Lacks(name));
            }
        }
        Ok(Self {
            io,
            urgent: false,
            enters: 0,
        })
    }

    /// Whether `poll` has reason to enter: completions wait for this thread to run their kernel work
    /// (TASKRUN), overflowed, or operations wait to be submitted. Reads two words of shared memory.
    pub(crate) fn should_enter(&mut self) -> bool {
        let submission = self.io.submission();
        submission.taskrun() || !submission.is_empty() || submission.cq_overflow()
    }

    pub(crate) fn has_completions(&mut self) -> bool {
        !self.io.completion().is_empty()
    }

    /// The next result: `(user_data, result, flags)`.
    pub(crate) fn next_completion(&mut self) -> Option<(u64, i32, u32)> {
        let entry = self.io.completion().next()?;
        Some((entry.user_data(), entry.result(), entry.flags()))
    }

    /// Whether more bytes wait in the socket after this receive.
    pub(crate) fn socket_has_more(flags: u32) -> bool {
        cqueue::sock_nonempty(flags)
    }

    pub(crate) fn is_urgent(&self) -> bool {
        self.urgent
    }

    /// Submits what is queued and runs the kernel work of this thread. Never waits.
    pub(crate) fn enter(&mut self) {
        let queued = self.io.submission().len() as u32;
        let flags = EnterFlags::GETEVENTS.bits();
        // SAFETY: no argument is passed; what queued entries point to is kept by `push`'s callers.
        let result = unsafe {
            self.io
                .submitter()
                .enter::<libc::sigset_t>(queued, 0, flags, None)
        };
        self.entered(&result);
    }

    /// As `enter`, then waits for a completion, at most `timeout`.
    pub(crate) fn enter_and_wait(&mut self, timeout: Duration) {
        let timespec = Timespec::from(timeout);
        let arguments = SubmitArgs::new().timespec(&timespec);
        let result = self.io.submitter().submit_with_args(1, &arguments);
        self.entered(&result);
    }

    fn entered(&mut self, result: &io::Result<usize>) {
        self.enters += 1;
        self.urgent = false;
        let Err(error) = result else {
            return;
        };
        match error.raw_os_error() {
            // Waited in vain, or interrupted: look again.
            Some(libc::ETIME | libc::EINTR) => {}
            // Out of memory for requests, or of room for results: what is queued stays queued, and
            // the next poll tries again after it took results.
            Some(libc::EAGAIN | libc::EBUSY | libc::ENOMEM) => {}
            // The rest can only be our own mistake (a ring of another thread, a bad argument).
            _ => panic!("io_uring_enter failed in a way that cannot be served on: {error}"),
        }
    }

    /// Queues an entry.
    ///
    /// # Safety
    /// What the entry points to stays valid, and untouched where the kernel writes, until its
    /// completion was taken.
    unsafe fn push(&mut self, entry: &squeue::Entry) {
        // SAFETY: the caller's promise.
        let pushed = unsafe { self.io.submission().push(entry) };
        assert!(
            pushed.is_ok(),
            "the queue has room for every operation that may be outstanding"
        );
    }

    /// Takes one connection of a listener.
    pub(crate) fn push_accept(&mut self, listener: RawFd, user_data: u64) {
        let entry = opcode::Accept::new(Fd(listener), std::ptr::null_mut(), std::ptr::null_mut())
            .flags(libc::SOCK_CLOEXEC)
            .build()
            .user_data(user_data);
        // SAFETY: points to nothing.
        unsafe { self.push(&entry) };
    }

    /// Connects a socket.
    ///
    /// # Safety
    /// `address` and `length` describe a socket address that stays until the completion was taken.
    pub(crate) unsafe fn push_connect(
        &mut self,
        socket: RawFd,
        address: *const libc::sockaddr,
        length: libc::socklen_t,
        user_data: u64,
    ) {
        let entry = opcode::Connect::new(Fd(socket), address, length)
            .build()
            .user_data(user_data);
        // SAFETY: the caller's promise.
        unsafe { self.push(&entry) };
        self.urgent = true;
    }

    /// Sends from memory.
    ///
    /// # Safety
    /// `length` bytes at `bytes` stay readable and unchanged until the completion was taken.
    pub(crate) unsafe fn push_send(
        &mut self,
        socket: RawFd,
        bytes: *const u8,
        length: usize,
        user_data: u64,
    ) {
        let entry = opcode::Send::new(Fd(socket), bytes, length as u32)
            .flags(libc::MSG_NOSIGNAL)
            .build()
            .user_data(user_data);
        // SAFETY: the caller's promise.
        unsafe { self.push(&entry) };
        self.urgent = true;
    }

    /// Receives into memory; `wait_first` if nothing is expected to be there yet.
    ///
    /// # Safety
    /// `length` bytes at `bytes` stay writable, and untouched by us, until the completion was taken.
    pub(crate) unsafe fn push_receive(
        &mut self,
        socket: RawFd,
        bytes: *mut u8,
        length: usize,
        wait_first: bool,
        user_data: u64,
    ) {
        let entry = opcode::Recv::new(Fd(socket), bytes, length as u32)
            .ioprio(if wait_first { POLL_FIRST } else { 0 })
            .build()
            .user_data(user_data);
        // SAFETY: the caller's promise.
        unsafe { self.push(&entry) };
    }

    /// Completes once, when the descriptor can be read.
    pub(crate) fn push_poll(&mut self, descriptor: RawFd, user_data: u64) {
        let entry = opcode::PollAdd::new(Fd(descriptor), libc::POLLIN as u32)
            .build()
            .user_data(user_data);
        // SAFETY: points to nothing.
        unsafe { self.push(&entry) };
    }

    /// Cancels every operation on a socket; each still completes.
    pub(crate) fn push_cancel(&mut self, socket: RawFd, user_data: u64) {
        let which = CancelBuilder::fd(Fd(socket)).all();
        let entry = opcode::AsyncCancel2::new(which)
            .build()
            .user_data(user_data);
        // SAFETY: points to nothing.
        unsafe { self.push(&entry) };
        self.urgent = true;
    }

    /// Cancels everything, for the end of the driver.
    pub(crate) fn push_cancel_all(&mut self, user_data: u64) {
        let entry = opcode::AsyncCancel2::new(CancelBuilder::any().all()).build();
        // SAFETY: points to nothing.
        unsafe { self.push(&entry.user_data(user_data)) };
        self.urgent = true;
    }
}
