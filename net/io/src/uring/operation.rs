//! Operations: how a completion names its own, what the kernel holds of a slot, how many there may be.

use crate::limits::{CONNECTIONS_MAX_MAX, LISTENERS_MAX_MAX};

/// What an operation is, in the top byte of `user_data`; the slot or listener in the low four.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
#[repr(u8)]
pub(super) enum Kind {
    Accept = 1,
    Connect = 2,
    Receive = 3,
    Send = 4,
    Cancel = 5,
    Wake = 6,
}

impl Kind {
    pub(super) const fn tag(self, index: u32) -> u64 {
        (self as u64) << 56 | index as u64
    }

    pub(super) fn of(user_data: u64) -> Self {
        match user_data >> 56 {
            1 => Self::Accept,
            2 => Self::Connect,
            3 => Self::Receive,
            4 => Self::Send,
            5 => Self::Cancel,
            6 => Self::Wake,
            _ => unreachable!("only our own tags come back"),
        }
    }
}

/// What the kernel holds of a slot. No generation is needed in `user_data`: the slot cannot be freed,
/// hence not taken again, while anything here is set.
#[derive(Copy, Clone, Default, Debug)]
pub(super) struct Outstanding {
    pub(super) connecting: bool,
    pub(super) receiving: bool,
    pub(super) cancelling: bool,
    /// The last receive emptied the socket, so the next had better wait.
    pub(super) drained: bool,
    pub(super) sending: bool,
}

impl Outstanding {
    /// The operation's completion was taken.
    pub(super) fn ended(&mut self, kind: Kind) {
        match kind {
            Kind::Accept | Kind::Wake => {}
            Kind::Connect => self.connecting = false,
            Kind::Receive => self.receiving = false,
            Kind::Send => self.sending = false,
            Kind::Cancel => self.cancelling = false,
        }
    }

    pub(super) fn uses_slot(self) -> bool {
        self.connecting || self.receiving || self.sending || self.cancelling
    }
}

/// A slot's worst case: a receive and a send that are queued, and the cancel of both.
const OPERATIONS_PER_SLOT_MAX: u32 = 3;
/// The kernel's bounds on a ring (IORING_MAX_ENTRIES, IORING_MAX_CQ_ENTRIES).
const SUBMISSIONS_MAX: u32 = 32_768;
const COMPLETIONS_MAX: u32 = 65_536;

/// Operations that may be outstanding at once, the bell and the final cancel included. Both queues hold them all, so
/// neither ever overflows and queueing cannot fail.
pub(super) const fn operations_max(connections_max: u32, listeners_max: u32) -> u32 {
    connections_max * OPERATIONS_PER_SLOT_MAX + listeners_max + 2
}

const _: () = assert!(operations_max(CONNECTIONS_MAX_MAX, LISTENERS_MAX_MAX) <= SUBMISSIONS_MAX);
const _: () = assert!(SUBMISSIONS_MAX <= COMPLETIONS_MAX);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_names_its_operation() {
        for kind in [
            Kind::Accept,
            Kind::Connect,
            Kind::Receive,
            Kind::Send,
            Kind::Cancel,
            Kind::Wake,
        ] {
            for index in [0, 7, u32::MAX] {
                let tag = kind.tag(index);
                assert_eq!((Kind::of(tag), tag as u32), (kind, index));
            }
        }
    }
}
