//! The epoll descriptor: register, ask, wait. It knows no connection.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// What happened to one registered socket.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Event {
    pub(crate) token: u64,
    /// Bytes, an end or an error may be read; a listener has a connection.
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    /// The peer ended its side, or an error is pending: read until it shows.
    pub(crate) ended: bool,
}

const NO_EVENT: libc::epoll_event = libc::epoll_event { events: 0, u64: 0 };
const ENDED: u32 = (libc::EPOLLRDHUP | libc::EPOLLHUP | libc::EPOLLERR) as u32;
const READABLE: u32 = libc::EPOLLIN as u32 | ENDED;
const WRITABLE: u32 = (libc::EPOLLOUT | libc::EPOLLHUP | libc::EPOLLERR) as u32;

/// An epoll descriptor and the room for one call's events.
pub(crate) struct Selector {
    epoll: OwnedFd,
    events: Box<[libc::epoll_event]>,
    count: usize,
    next: usize,
}

impl std::fmt::Debug for Selector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Selector")
            .field("epoll", &self.epoll)
            .finish_non_exhaustive()
    }
}

impl Selector {
    pub(crate) fn new(events_max: usize) -> io::Result<Self> {
        // SAFETY: no memory is passed.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a new descriptor that nobody else owns.
        let epoll = unsafe { OwnedFd::from_raw_fd(fd) };
        let events = vec![NO_EVENT; events_max].into_boxed_slice();
        Ok(Self {
            epoll,
            events,
            count: 0,
            next: 0,
        })
    }

    /// Registers a connection for ever: edges of both directions. Closing the socket ends it.
    pub(crate) fn add_connection(&self, socket: RawFd, token: u64) -> io::Result<()> {
        let edges = libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLET;
        self.add(socket, edges as u32, token)
    }

    /// Registers a listener: reported when a connection comes, once.
    pub(crate) fn add_listener(&self, socket: RawFd, token: u64) -> io::Result<()> {
        self.add(socket, (libc::EPOLLIN | libc::EPOLLET) as u32, token)
    }

    fn add(&self, socket: RawFd, events: u32, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events, u64: token };
        let epoll = self.epoll.as_raw_fd();
        // SAFETY: the event lives through the call.
        let result = unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, socket, &mut event) };
        if result < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(())
        }
    }

    /// Fetches what is there without waiting; read it with `next`.
    pub(crate) fn fetch(&mut self) {
        let (events, room) = (self.events.as_mut_ptr(), self.events.len() as libc::c_int);
        // SAFETY: `room` events fit behind the pointer.
        let count = unsafe { libc::epoll_wait(self.epoll.as_raw_fd(), events, room, 0) };
        if count < 0 {
            let error = io::Error::last_os_error();
            assert!(
                error.kind() == io::ErrorKind::Interrupted,
                "epoll_wait failed: {error}"
            );
        }
        self.count = usize::try_from(count).unwrap_or(0);
        self.next = 0;
    }

    pub(crate) fn next(&mut self) -> Option<Event> {
        let event = *self.events[..self.count].get(self.next)?;
        self.next += 1;
        let bits = event.events;
        Some(Event {
            token: event.u64,
            readable: bits & READABLE != 0,
            writable: bits & WRITABLE != 0,
            ended: bits & ENDED != 0,
        })
    }

    /// Blocks until there is something to fetch, `bell` can be read, or `timeout` (in nanoseconds, which
    /// `epoll_wait` cannot do) passed.
    pub(crate) fn wait(&self, bell: Option<RawFd>, timeout: Duration) {
        let poll = |fd| libc::pollfd {
            fd,
            events: libc::POLLIN,
            revents: 0,
        };
        // A negative descriptor is passed over.
        let mut polled = [poll(self.epoll.as_raw_fd()), poll(bell.unwrap_or(-1))];
        let timespec = libc::timespec {
            tv_sec: timeout.as_secs().min(i32::MAX as u64) as libc::time_t,
            tv_nsec: timeout.subsec_nanos().into(),
        };
        // SAFETY: two pollfd and a timespec that live through the call; no signal mask. Whatever it
        // returns, the next `fetch` looks.
        unsafe { libc::ppoll(polled.as_mut_ptr(), 2, &timespec, std::ptr::null()) };
    }
}
