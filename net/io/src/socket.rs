//! The few socket calls that the standard library lacks or does otherwise. Nothing here blocks, and
//! nothing here knows of connections.
#![allow(unsafe_code)]

use std::io;
use std::mem;
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// Whether a socket call returns at once. io_uring wants blocking sockets: on a non-blocking one an
/// operation fails with EAGAIN instead of waiting in the kernel.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) enum Mode {
    Blocking,
    NonBlocking,
}

impl Mode {
    fn flags(self) -> libc::c_int {
        match self {
            Self::Blocking => libc::SOCK_CLOEXEC,
            Self::NonBlocking => libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK,
        }
    }
}

/// A socket address as the kernel wants it.
#[derive(Copy, Clone)]
pub(crate) struct RawAddress {
    storage: libc::sockaddr_storage,
    length: libc::socklen_t,
}

impl std::fmt::Debug for RawAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RawAddress")
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

impl RawAddress {
    pub(crate) fn unset() -> Self {
        // SAFETY: all-zero bytes are a valid sockaddr_storage (AF_UNSPEC).
        let storage = unsafe { mem::zeroed() };
        Self { storage, length: 0 }
    }

    pub(crate) fn new(address: SocketAddr) -> Self {
        let mut raw = Self::unset();
        match address {
            SocketAddr::V4(v4) => raw.put(raw_v4(v4)),
            SocketAddr::V6(v6) => raw.put(raw_v6(v6)),
        }
        raw
    }

    /// `T` is `sockaddr_in` or `sockaddr_in6`.
    fn put<T: Copy>(&mut self, address: T) {
        const { assert!(size_of::<T>() <= size_of::<libc::sockaddr_storage>()) };
        const { assert!(align_of::<T>() <= align_of::<libc::sockaddr_storage>()) };
        // SAFETY: size and alignment fit, asserted above; any bytes are a valid sockaddr_storage.
        unsafe { (&raw mut self.storage).cast::<T>().write(address) };
        self.length = size_of::<T>() as libc::socklen_t;
    }

    pub(crate) fn pointer(&self) -> *const libc::sockaddr {
        (&raw const self.storage).cast()
    }

    pub(crate) fn length(&self) -> libc::socklen_t {
        self.length
    }

    fn family(&self) -> libc::c_int {
        libc::c_int::from(self.storage.ss_family)
    }
}

fn raw_v4(address: SocketAddrV4) -> libc::sockaddr_in {
    libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: address.port().to_be(),
        sin_addr: libc::in_addr {
            s_addr: u32::from(*address.ip()).to_be(),
        },
        sin_zero: [0; 8],
    }
}

fn raw_v6(address: SocketAddrV6) -> libc::sockaddr_in6 {
    libc::sockaddr_in6 {
        sin6_family: libc::AF_INET6 as libc::sa_family_t,
        sin6_port: address.port().to_be(),
        sin6_flowinfo: address.flowinfo(),
        sin6_addr: libc::in6_addr {
            s6_addr: address.ip().octets(),
        },
        sin6_scope_id: address.scope_id(),
    }
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

fn open(address: &RawAddress, mode: Mode) -> io::Result<OwnedFd> {
    // SAFETY: no memory is passed.
    let fd = check(unsafe {
        libc::socket(
            address.family(),
            libc::SOCK_STREAM | mode.flags(),
            libc::IPPROTO_TCP,
        )
    })?;
    // SAFETY: a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn set_option<T>(fd: RawFd, level: libc::c_int, name: libc::c_int, value: &T) -> io::Result<()> {
    let length = size_of::<T>() as libc::socklen_t;
    // SAFETY: pointer and length describe `value`, which the kernel only reads.
    check(unsafe { libc::setsockopt(fd, level, name, (&raw const *value).cast(), length) })?;
    Ok(())
}

/// A listening socket and the address it got. TCP_NODELAY set here is inherited by what it accepts,
/// which saves a call per connection.
pub(crate) fn listen(
    address: SocketAddr,
    backlog: u32,
    mode: Mode,
) -> io::Result<(OwnedFd, SocketAddr)> {
    let raw = RawAddress::new(address);
    let listener = open(&raw, mode)?;
    let fd = listener.as_raw_fd();
    let on: libc::c_int = 1;
    set_option(fd, libc::SOL_SOCKET, libc::SO_REUSEADDR, &on)?;
    set_option(fd, libc::IPPROTO_TCP, libc::TCP_NODELAY, &on)?;
    // SAFETY: pointer and length describe `raw`, which the kernel only reads.
    check(unsafe { libc::bind(fd, raw.pointer(), raw.length()) })?;
    let backlog = libc::c_int::try_from(backlog).unwrap_or(libc::c_int::MAX);
    // SAFETY: no memory is passed.
    check(unsafe { libc::listen(fd, backlog) })?;
    let listener = std::net::TcpListener::from(listener);
    let bound = listener.local_addr()?;
    Ok((listener.into(), bound))
}

/// An unconnected stream socket without Nagle's delay.
pub(crate) fn stream(address: SocketAddr, mode: Mode) -> io::Result<TcpStream> {
    let stream = TcpStream::from(open(&RawAddress::new(address), mode)?);
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Starts a connection on a non-blocking socket; it stands once the socket is writable without error.
pub(crate) fn connect(stream: &TcpStream, address: &RawAddress) -> io::Result<()> {
    // SAFETY: pointer and length describe `address`, which the kernel only reads.
    let result = unsafe { libc::connect(stream.as_raw_fd(), address.pointer(), address.length()) };
    match check(result) {
        Ok(_) => Ok(()),
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Takes one waiting connection of a non-blocking listener, as a non-blocking socket.
pub(crate) fn accept(listener: &OwnedFd) -> io::Result<TcpStream> {
    // SAFETY: null address and length are allowed: the peer's address is not asked for.
    let fd = check(unsafe {
        libc::accept4(
            listener.as_raw_fd(),
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            Mode::NonBlocking.flags(),
        )
    })?;
    // SAFETY: fresh from an accept.
    Ok(unsafe { adopt(fd) })
}

/// Owns a descriptor that the kernel just made for us.
///
/// # Safety
/// `fd` is fresh from an accept: open, and nobody else's.
pub(crate) unsafe fn adopt(fd: RawFd) -> TcpStream {
    // SAFETY: the caller's promise.
    TcpStream::from(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Makes the coming close a reset: unsent bytes are dropped, the peer knows at once, and the kernel
/// keeps nothing. An error changes nothing that matters: the close then is an orderly one.
pub(crate) fn reset_on_close(stream: &TcpStream) {
    let linger = libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    let _ = set_option(
        stream.as_raw_fd(),
        libc::SOL_SOCKET,
        libc::SO_LINGER,
        &linger,
    );
}

/// Ends our side. An error means that the connection is gone, which the pending receive reports.
pub(crate) fn finish_sending(stream: &TcpStream) {
    let _ = stream.shutdown(std::net::Shutdown::Write);
}

/// Whether an operation that failed so is simply tried again.
pub(crate) fn is_transient(errno: i32) -> bool {
    matches!(errno, libc::EINTR | libc::EAGAIN)
}

/// Whether the next accept would fail as well: no descriptor or memory is left. Other errors concern
/// the one connection that was waiting.
pub(crate) fn accept_should_wait(errno: i32) -> bool {
    matches!(
        errno,
        libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepted_and_outgoing_sockets_do_not_wait_to_fill_a_segment() {
        let any = "127.0.0.1:0".parse().unwrap();
        let (listener, address) = listen(any, 4, Mode::NonBlocking).unwrap();
        let outgoing = stream(address, Mode::Blocking).unwrap();
        connect(&outgoing, &RawAddress::new(address)).unwrap();
        assert!(outgoing.nodelay().unwrap());
        assert!(accept(&listener).unwrap().nodelay().unwrap());
        assert_eq!(
            accept(&listener).unwrap_err().kind(),
            io::ErrorKind::WouldBlock
        );
    }

    #[test]
    fn raw_addresses_name_the_same_place() {
        for text in ["127.0.0.1:0", "[::1]:0"] {
            let raw = RawAddress::new(text.parse().unwrap());
            let expected = if text.starts_with('[') {
                libc::AF_INET6
            } else {
                libc::AF_INET
            };
            assert_eq!(raw.family(), expected);
        }
        let address: SocketAddr = "1.2.3.4:5".parse().unwrap();
        let SocketAddr::V4(v4) = address else {
            unreachable!()
        };
        let raw = raw_v4(v4);
        assert_eq!(raw.sin_addr.s_addr.to_ne_bytes(), [1, 2, 3, 4]);
        assert_eq!(raw.sin_port.to_ne_bytes(), [0, 5]);
    }

    #[test]
    fn a_taken_address_and_a_foreign_one_are_errors() {
        let (_held, address) = listen("127.0.0.1:0".parse().unwrap(), 4, Mode::Blocking).unwrap();
        let error = listen(address, 4, Mode::Blocking).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        let error = listen("192.0.2.1:0".parse().unwrap(), 4, Mode::Blocking).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable);
    }
}
