//! Protection: what the operator allows sessions, firms and the venue, and what is counted against it.
//!
//! Tables by id, sized with the bounds. What is derived from live orders is recomputed from them by the
//! whole-state check; it must never be corrected here by guessing.

use crate::grown;
use crate::image::Walk;
use alloc::vec::Vec;
use lockstep_record::FirmId;

/// What the operator lets a session, a firm or the venue enter; the value is the letter of `SetEntryState`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum EntryState {
    #[default]
    Enabled = b'E',
    /// No entry and no replacement; live orders stay.
    Disabled = b'D',
    /// The same, and its live orders were cancelled.
    Killed = b'K',
}

impl EntryState {
    pub(crate) fn from_u8(letter: u8) -> Option<Self> {
        match letter {
            b'E' => Some(Self::Enabled),
            b'D' => Some(Self::Disabled),
            b'K' => Some(Self::Killed),
            _ => None,
        }
    }
}

impl EntryState {
    /// Its letter, both ways; an unknown one is refused.
    pub(crate) fn walk(&mut self, walk: &mut impl Walk) {
        let mut letter = *self as u8;
        walk.u8(&mut letter);
        match Self::from_u8(letter) {
            Some(known) => *self = known,
            None => walk.refuse("an entry state is unknown"),
        }
    }
}

/// Whom an operator's record is about; its letter stands in the record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    Session(lockstep_record::SessionId),
    Firm(FirmId),
    Venue,
}

impl Scope {
    pub(crate) fn read(letter: u8, id: u32) -> Option<Self> {
        match letter {
            b'S' => Some(Self::Session(lockstep_record::SessionId(id))),
            b'F' => Some(Self::Firm(FirmId(id))),
            b'V' if id == 0 => Some(Self::Venue),
            _ => None,
        }
    }
}

/// A firm as protection sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Firm {
    pub entry: EntryState,
}

#[derive(Debug)]
pub(crate) struct Risk {
    /// Of the whole venue.
    pub entry: EntryState,
    /// By firm id; entry 0 is never used.
    firms: Vec<Firm>,
}

impl Risk {
    pub fn new() -> Self {
        Self {
            entry: EntryState::Enabled,
            firms: Vec::new(),
        }
    }

    pub fn grow(&mut self, firms_max: u32) {
        let unused = Firm {
            entry: EntryState::Enabled,
        };
        grown(&mut self.firms, firms_max as usize + 1, unused);
    }

    /// A firm that the caller knows to be within the bounds.
    #[inline(always)]
    pub fn firm(&self, id: FirmId) -> &Firm {
        &self.firms[id.0 as usize]
    }

    pub fn firm_mut(&mut self, id: FirmId) -> &mut Firm {
        &mut self.firms[id.0 as usize]
    }
}
