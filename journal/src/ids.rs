//! 16-byte identities: of the cluster, the log's lineage, a journal, a log buffer, a boot.

use std::fs::File;
use std::io::{self, Read};

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
        pub struct $name(pub [u8; 16]);

        impl $name {
            pub const ZERO: Self = Self([0; 16]);
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{self}")
            }
        }
    )*};
}

ids! {
    /// The group of nodes that share one log. Made by `format` of its first node.
    ClusterId;
    /// Changes only by a forced promotion of a site that cannot reach the old one.
    Lineage;
    /// One node's copy of the log.
    JournalId;
    /// One life of a log buffer, between two initialisations.
    LogBufferId;
    /// One boot of the machine.
    BootId;
}

/// Sixteen bytes from the operating system's generator. Never on a path that must be deterministic.
pub fn random_id() -> io::Result<[u8; 16]> {
    let mut id = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut id)?;
    Ok(id)
}

impl BootId {
    /// This boot's, from `/proc/sys/kernel/random/boot_id`.
    pub fn current() -> io::Result<Self> {
        let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
        Self::parse(&text).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                "/proc/sys/kernel/random/boot_id is no UUID",
            )
        })
    }

    fn parse(text: &str) -> Option<Self> {
        let digits: Vec<u8> = text.trim().bytes().filter(|byte| *byte != b'-').collect();
        let mut id = [0; 16];
        if digits.len() != 32 {
            return None;
        }
        for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_id_is_read_and_stays_the_same() {
        let first = BootId::current().unwrap();
        assert_ne!(first, BootId::ZERO);
        assert_eq!(first, BootId::current().unwrap());
        assert_eq!(BootId::parse("not a uuid"), None);
    }
}
