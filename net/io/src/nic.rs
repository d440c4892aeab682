//! What an interface's driver says of its rings and interrupts (the kernel's ethtool request). It only
//! asks; no request that sets anything is made here.
#![allow(unsafe_code)]

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

const SIOCETHTOOL: libc::c_ulong = 0x8946;
// Requests of include/uapi/linux/ethtool.h; each answer is a struct of u32 whose first is the request.
const GET_COALESCE: u32 = 0x0e;
const GET_RINGS: u32 = 0x10;
const GET_FLAGS: u32 = 0x25;
const GET_GRO: u32 = 0x2b;
const COALESCE_WORDS: usize = 23;
const RINGS_WORDS: usize = 9;
const FLAG_LRO: u32 = 1 << 15;

/// Settings of a network interface; `None` where its driver does not say.
#[derive(Copy, Clone, Eq, PartialEq, Debug, Default)]
pub struct NicSettings {
    /// Entries of the receive ring and the most it can have.
    pub receive_ring: Option<(u32, u32)>,
    /// Entries of the send ring and the most it can have.
    pub send_ring: Option<(u32, u32)>,
    /// Longest time a received frame waits for its interrupt, in µs, and whether the driver adapts it.
    pub receive_coalescing_us: Option<(u32, bool)>,
    /// Generic receive offload.
    pub receive_offload: Option<bool>,
    /// Large receive offload.
    pub large_receive_offload: Option<bool>,
}

impl NicSettings {
    /// Asks for the settings of an interface by name.
    ///
    /// # Errors
    /// No socket can be made, or the name has 16 bytes or more. What the driver refuses is `None`.
    pub fn of(interface: &str) -> io::Result<Self> {
        if interface.len() >= libc::IFNAMSIZ || interface.contains('\0') {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        let socket = socket()?;
        let rings = ask(&socket, interface, GET_RINGS, [0; RINGS_WORDS]);
        let coalesce = ask(&socket, interface, GET_COALESCE, [0; COALESCE_WORDS]);
        let gro = ask(&socket, interface, GET_GRO, [0; 2]);
        let flags = ask(&socket, interface, GET_FLAGS, [0; 2]);
        Ok(Self {
            receive_ring: rings.map(|r| (r[5], r[1])),
            send_ring: rings.map(|r| (r[8], r[4])),
            receive_coalescing_us: coalesce.map(|c| (c[1], c[10] != 0)),
            receive_offload: gro.map(|g| g[1] != 0),
            large_receive_offload: flags.map(|f| f[1] & FLAG_LRO != 0),
        })
    }
}

fn socket() -> io::Result<OwnedFd> {
    // SAFETY: no pointer is passed.
    let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just made and is owned by nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// One request; `words` has the length of the request's struct.
fn ask<const N: usize>(
    socket: &OwnedFd,
    interface: &str,
    request: u32,
    mut words: [u32; N],
) -> Option<[u32; N]> {
    words[0] = request;
    // SAFETY: all-zero bytes are a valid ifreq.
    let mut name: libc::ifreq = unsafe { mem::zeroed() };
    for (to, from) in name.ifr_name.iter_mut().zip(interface.bytes()) {
        *to = from.cast_signed();
    }
    name.ifr_ifru.ifru_data = words.as_mut_ptr().cast();
    // SAFETY: both structs live through the call, and the kernel writes no more than the request's
    // struct, which `words` is as long as.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL as _, &raw mut name) };
    (result == 0).then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_has_no_rings_and_bad_names_are_errors() {
        let settings = NicSettings::of("lo").unwrap();
        assert_eq!(settings.receive_ring, None);
        assert!(NicSettings::of("a-name-longer-than-any").is_err());
        assert_eq!(
            NicSettings::of("lockstep-none").unwrap(),
            NicSettings::default()
        );
    }
}
