//! What the admin socket needs of the kernel and the standard library does not offer: who the peer is, and
//! waiting on several sockets at once. It never looks at bytes.
#![allow(unsafe_code)]

use super::access::Peer;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// Supplementary groups asked for; who is in more is known by these alone.
const GROUPS_MAX: usize = 256;

/// The effective user of this process.
pub fn own_uid() -> u32 {
    // SAFETY: geteuid has no preconditions and cannot fail.
    unsafe { libc::geteuid() }
}

/// Who connected, as it was when it did.
pub fn peer_of(stream: &UnixStream) -> io::Result<Peer> {
    let mut credentials = libc::ucred {
        pid: 0,
        uid: u32::MAX,
        gid: u32::MAX,
    };
    let mut length = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: the value is a ucred and `length` is its size; the kernel writes at most that.
    let result = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut credentials).cast(),
            &mut length,
        )
    };
    if result != 0 || length as usize != size_of::<libc::ucred>() {
        return Err(io::Error::last_os_error());
    }
    let mut gids = peer_groups(stream);
    gids.push(credentials.gid);
    Ok(Peer {
        pid: credentials.pid,
        uid: credentials.uid,
        gids,
    })
}

/// Supplementary groups; none where the kernel does not say (before Linux 4.13) or there are too many.
fn peer_groups(stream: &UnixStream) -> Vec<u32> {
    let mut groups = [0u32; GROUPS_MAX];
    let mut length = size_of_val(&groups) as libc::socklen_t;
    // SAFETY: the value is an array of gid_t and `length` its size in bytes; the kernel writes at most that.
    let result = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERGROUPS,
            groups.as_mut_ptr().cast(),
            &mut length,
        )
    };
    if result != 0 {
        return Vec::new();
    }
    let count = (length as usize / size_of::<u32>()).min(GROUPS_MAX);
    groups[..count].to_vec()
}

/// A descriptor to wait for, and what came.
#[derive(Clone, Copy, Debug)]
pub struct Interest {
    pub descriptor: RawFd,
    pub write: bool,
    pub ready: bool,
}

impl Interest {
    pub fn new(descriptor: RawFd, write: bool) -> Self {
        Self {
            descriptor,
            write,
            ready: false,
        }
    }
}

/// Waits until one is ready (or has failed), or `timeout` passed.
pub fn wait(interests: &mut [Interest], timeout: Duration) {
    let mut polled: Vec<libc::pollfd> = interests
        .iter()
        .map(|interest| libc::pollfd {
            fd: interest.descriptor,
            events: if interest.write {
                libc::POLLOUT
            } else {
                libc::POLLIN
            },
            revents: 0,
        })
        .collect();
    let timeout_ms = timeout.as_millis().min(60_000) as libc::c_int;
    // SAFETY: the pointer and the count are of one vector that lives through the call.
    let ready = unsafe {
        libc::poll(
            polled.as_mut_ptr(),
            polled.len() as libc::nfds_t,
            timeout_ms,
        )
    };
    for (interest, polled) in interests.iter_mut().zip(&polled) {
        interest.ready = ready > 0 && polled.revents != 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn the_peer_is_who_connected() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let peer = peer_of(&ours).unwrap();
        assert_eq!(peer.uid, own_uid());
        assert_eq!(peer.pid as u32, std::process::id());
        assert!(!peer.gids.is_empty());
        drop(theirs);
    }

    #[test]
    fn waiting_ends_with_the_byte_and_names_the_socket() {
        let (a, mut a_far) = UnixStream::pair().unwrap();
        let (b, _b_far) = UnixStream::pair().unwrap();
        let interest = |s: &UnixStream| Interest::new(s.as_raw_fd(), false);
        let mut interests = [interest(&a), interest(&b)];
        wait(&mut interests, Duration::ZERO);
        assert!(!interests[0].ready && !interests[1].ready);
        a_far.write_all(b"x").unwrap();
        wait(&mut interests, Duration::from_secs(60));
        assert!(interests[0].ready && !interests[1].ready);
    }
}
