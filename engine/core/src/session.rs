//! Sessions (OUCH ports), their numbers both ways, their connections and their live orders.
//!
//! Dense tables by session id; nothing here is looked up by hash on the hot path.

use crate::order::Detail;
use crate::risk::EntryState;
use crate::{NONE, grown};
use alloc::vec::Vec;
use core::hint::select_unpredictable;
use lockstep_prefetch::prefetch;
use lockstep_record::event::UserRef;
use lockstep_record::{ConnectionEpoch, FirmId, Gateway, SessionId};

/// Firms that a session may enter orders for beside its own.
pub const PERMITTED_FIRMS_MAX: usize = 16;
const CHANNELS: usize = 256;

/// What the hot path reads and writes lies in the first cache line.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(crate) struct Session {
    /// Number that the outbound stream gives its next event.
    pub next_outbound: u64,
    /// The gateway's handle of the current connection.
    pub connection: u64,
    /// Counts logins.
    pub epoch: ConnectionEpoch,
    /// Last user reference number of channel 0; 0 = none yet today.
    pub number: u32,
    pub firm: FirmId,
    /// Live orders, oldest order reference first.
    pub first_order: u32,
    pub last_order: u32,
    pub open_orders: u32,
    /// Firms whose entry the client has disabled: bit *i* is the *i*-th of `firms`.
    pub disabled: u32,
    /// Sessions of one group do not trade with each other; 0 = the session is a group of its own.
    pub self_trade_group: u32,
    /// Its market-maker protections, by group.
    pub first_protection: u32,
    pub gateway: Gateway,
    /// Used when an order does not say: `N`, `O`, `B`, `D`; 0 = its orders may trade with each other.
    pub self_trade_mode: u8,
    pub permitted_count: u8,
    pub defined: bool,
    /// A connection of the current epoch is there.
    pub connected: bool,
    pub cancel_on_disconnect: bool,
    /// May enter and replace orders, by its definition.
    pub order_entry: bool,
    /// The same by the operator's command.
    pub entry: EntryState,
    /// Its requests are counted.
    pub throttled: bool,
    /// Its connection ended with a leader and it has not come back.
    pub away: bool,
    pub permitted: [FirmId; PERMITTED_FIRMS_MAX],
    pub user: [u8; 6],
}
const _: () = assert!(core::mem::offset_of!(Session, permitted) <= 64);
const _: () = assert!(PERMITTED_FIRMS_MAX < u32::BITS as usize);

pub(crate) const UNDEFINED: Session = Session {
    next_outbound: 1,
    connection: 0,
    epoch: ConnectionEpoch(0),
    number: 0,
    firm: FirmId(0),
    first_order: NONE,
    last_order: NONE,
    open_orders: 0,
    disabled: 0,
    self_trade_group: 0,
    first_protection: NONE,
    gateway: Gateway(0),
    self_trade_mode: 0,
    permitted_count: 0,
    defined: false,
    connected: false,
    cancel_on_disconnect: false,
    order_entry: false,
    entry: EntryState::Enabled,
    throttled: false,
    away: false,
    permitted: [FirmId(0); PERMITTED_FIRMS_MAX],
    user: [b' '; 6],
};

impl Session {
    /// Own firm and permitted ones.
    pub fn firms(&self) -> impl Iterator<Item = FirmId> + '_ {
        let permitted = &self.permitted[..usize::from(self.permitted_count)];
        core::iter::once(self.firm).chain(permitted.iter().copied())
    }

    /// Whether the client has disabled entry for a firm of this session.
    #[inline(always)]
    pub fn is_disabled(&self, firm: FirmId) -> bool {
        self.disabled != 0 && self.mask_of(firm) & self.disabled != 0
    }

    /// The bits of a firm; it has more than one if the definition names it more than once.
    pub fn mask_of(&self, firm: FirmId) -> u32 {
        let bits = self.firms().enumerate().filter(|(_, own)| *own == firm);
        bits.fold(0, |mask, (at, _)| mask | 1 << at)
    }
}

#[derive(Debug)]
pub(crate) struct Sessions {
    /// By session id; entry 0 is never used.
    table: Vec<Session>,
    /// Last user reference number by owner (session and channel), but for channels 0; 0 = none yet today.
    numbers: Vec<u32>,
}

/// What an order carries of its client: session and channel.
#[inline(always)]
pub(crate) fn owner(session: SessionId, channel: u8) -> u32 {
    session.0 << 8 | u32::from(channel)
}

/// The session of an order's owner.
#[inline(always)]
pub(crate) fn owner_session(owner: u32) -> SessionId {
    SessionId(owner >> 8)
}

/// An order as its client knows it.
#[inline(always)]
pub(crate) fn owner_ref(owner: u32, number: u32) -> UserRef {
    UserRef {
        number,
        index: owner as u8,
    }
}

impl Sessions {
    pub fn new() -> Self {
        Self {
            table: Vec::new(),
            numbers: Vec::new(),
        }
    }

    pub fn grow(&mut self, sessions_max: u32) {
        let length = sessions_max as usize + 1;
        grown(&mut self.table, length, UNDEFINED);
        grown(&mut self.numbers, length * CHANNELS, 0);
    }

    /// Asks for a session's first line; see [`crate::ahead`].
    #[inline(always)]
    pub fn warm(&self, id: SessionId) {
        prefetch(&self.table, id.0 as usize);
    }

    /// The firm and the last order of a session that may not be there; see [`crate::ahead`].
    #[inline(always)]
    pub fn glance(&self, id: SessionId) -> (FirmId, u32) {
        let last = self.table.len().saturating_sub(1);
        let session = self.table.get((id.0 as usize).min(last));
        session.map_or((FirmId(0), NONE), |session| {
            (session.firm, session.last_order)
        })
    }

    /// A session that is defined.
    #[inline(always)]
    pub fn find(&self, id: SessionId) -> Option<&Session> {
        self.table
            .get(id.0 as usize)
            .filter(|session| session.defined)
    }

    /// A session that the caller knows to be within the bounds.
    #[inline(always)]
    pub fn get(&self, id: SessionId) -> &Session {
        &self.table[id.0 as usize]
    }

    #[inline(always)]
    pub fn get_mut(&mut self, id: SessionId) -> &mut Session {
        &mut self.table[id.0 as usize]
    }

    /// Whether an id lies within the bounds.
    pub fn in_bounds(&self, id: SessionId) -> bool {
        id != SessionId::NONE && (id.0 as usize) < self.table.len()
    }

    /// Ids of the defined sessions, ascending.
    pub fn defined(&self) -> impl Iterator<Item = SessionId> + '_ {
        let table = self.table.iter().zip(0..);
        table
            .filter(|(session, _)| session.defined)
            .map(|(_, id)| SessionId(id))
    }

    /// Number of ids, 0 included.
    pub fn id_end(&self) -> u32 {
        self.table.len() as u32
    }

    /// Last number of each channel of a session.
    pub fn numbers(&self, id: SessionId) -> impl Iterator<Item = (u8, u32)> + Clone + '_ {
        (0..=u8::MAX).map(move |channel| (channel, self.last_number(owner(id, channel))))
    }

    #[inline(always)]
    fn number(&mut self, owner: u32) -> &mut u32 {
        if owner as u8 == 0 {
            &mut self.table[(owner >> 8) as usize].number
        } else {
            &mut self.numbers[owner as usize]
        }
    }

    /// Last number of an owner's channel.
    #[inline(always)]
    pub fn last_number(&self, owner: u32) -> u32 {
        if owner as u8 == 0 {
            self.table[(owner >> 8) as usize].number
        } else {
            self.numbers[owner as usize]
        }
    }

    /// Whether a number has not been used on its channel and may be.
    #[inline(always)]
    pub fn is_new(&self, owner: u32, number: u32) -> bool {
        number > self.last_number(owner)
    }

    #[inline(always)]
    pub fn consume(&mut self, owner: u32, number: u32) {
        *self.number(owner) = number;
    }

    /// Numbers both ways begin again, and entry is enabled for every firm.
    pub fn begin_day(&mut self) {
        self.numbers.fill(0);
        for session in &mut self.table {
            session.next_outbound = 1;
            session.number = 0;
            session.disabled = 0;
        }
    }

    /// No connection is left, and nobody is expected back; epochs stay.
    pub fn disconnect_all(&mut self) {
        for session in &mut self.table {
            session.connected = false;
            session.away = false;
        }
    }

    /// No connection is left: who had one is away. Whether anybody is.
    pub fn leave_all(&mut self) -> bool {
        let mut any = false;
        for session in &mut self.table {
            session.away |= session.connected;
            session.connected = false;
            any |= session.away;
        }
        any
    }

    /// Appends an order that has just got the highest order reference to its session's list.
    #[inline(always)]
    pub fn link(&mut self, details: &mut [Detail], id: SessionId, slot: u32) {
        let session = &mut self.table[id.0 as usize];
        let last = session.last_order;
        session.last_order = slot;
        session.open_orders += 1;
        session.first_order = select_unpredictable(last == NONE, slot, session.first_order);
        neighbour(details, last).next = slot;
        let detail = &mut details[slot as usize];
        detail.prev = last;
        detail.next = NONE;
    }

    /// Whether orders of these owners are one party's.
    #[inline(always)]
    pub fn same_party(&self, one: u32, other: u32) -> bool {
        let (one, other) = (owner_session(one), owner_session(other));
        let group = self.get(one).self_trade_group;
        one == other || (group != 0 && group == self.get(other).self_trade_group)
    }

    /// Takes an order out of its session's list.
    #[inline(always)]
    pub fn unlink(&mut self, details: &mut [Detail], id: SessionId, slot: u32) {
        let session = &mut self.table[id.0 as usize];
        session.open_orders -= 1;
        let Detail { next, prev, .. } = details[slot as usize];
        session.first_order = select_unpredictable(prev == NONE, next, session.first_order);
        session.last_order = select_unpredictable(next == NONE, prev, session.last_order);
        neighbour(details, prev).next = next;
        neighbour(details, next).prev = prev;
    }
}

/// The details in a slot, or those behind all slots, which nobody reads, for `NONE`: so that a link is set
/// without asking whether there is an order at its end.
#[inline(always)]
fn neighbour(details: &mut [Detail], slot: u32) -> &mut Detail {
    let unread = details.len() - 1;
    &mut details[(slot as usize).min(unread)]
}
