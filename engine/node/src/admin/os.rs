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

/// Descriptors to wait for, and which of them are ready. Kept between waits: an idle node allocates nothing.
pub struct Interests {
    polled: Vec<libc::pollfd>,
}

impl std::fmt::Debug for Interests {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Interests")
            .field("count", &self.polled.len())
            .finish()
    }
}

impl Interests {
    pub fn with_capacity(count_max: usize) -> Self {
        Self {
            polled: Vec::with_capacity(count_max),
        }
    }

    pub fn clear(&mut self) {
        self.polled.clear();
    }

    pub fn push(&mut self, descriptor: RawFd, write: bool) {
        self.polled.push(libc::pollfd {
            fd: descriptor,
            events: if write { libc::POLLOUT } else { libc::POLLIN },
            revents: 0,
        });
    }

    /// Waits until one is ready (or has failed), or `timeout` passed.
    pub fn wait(&mut self, timeout: Duration) {
        let timeout_ms = timeout.as_millis().min(60_000) as libc::c_int;
        let count = self.polled.len() as libc::nfds_t;
        // SAFETY: the pointer and the count are of one vector that lives through the call.
        let ready = unsafe { libc::poll(self.polled.as_mut_ptr(), count, timeout_ms) };
        if ready <= 0 {
            self.polled.iter_mut().for_each(|polled| polled.revents = 0);
        }
    }

    /// Whether the i-th that was pushed is ready.
    pub fn is_ready(&self, i: usize) -> bool {
        self.polled.get(i).is_some_and(|polled| polled.revents != 0)
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
        let mut interests = Interests::with_capacity(2);
        interests.push(a.as_raw_fd(), false);
        interests.push(b.as_raw_fd(), false);
        interests.wait(Duration::ZERO);
        assert!(!interests.is_ready(0) && !interests.is_ready(1));
        a_far.write_all(b"x").unwrap();
        interests.wait(Duration::from_secs(60));
        assert!(interests.is_ready(0) && !interests.is_ready(1));
    }
}
