//! Looks at a batch's records before their turn, so that what they will touch is in the caches by then.
//!
//! Each record takes four steps, some records apart, before it is applied: first what its bytes name, then
//! what that leads to. As in `book::ahead`, all take the same steps, whatever they are: of a record that is
//! no order's, nonsense is asked for. This module must never change the state, and nothing may depend on what
//! it finds: a record's checks come with its turn.

use crate::NONE;
use crate::book;
use crate::book::ahead::{Place, RING, STEP};
use crate::book::pool::lane;
use crate::machine::StateMachine;
use crate::session::owner;
use core::hint::select_unpredictable;
use core::mem::offset_of;
use lockstep_prefetch::prefetch;
use lockstep_record::command::{
    ArchivedCancelOrder, ArchivedEnterOrder, ArchivedModifyOrder, ArchivedReplaceOrder,
};
use lockstep_record::{FirmId, InstrumentId, Kind, RECORD_HEADER_LENGTH, SessionId, Side};

/// Records between a record's first step and its turn.
pub(crate) const DISTANCE: usize = book::ahead::Ahead::DISTANCE;
/// Looking so far costs some 120 instructions a record. A venue with room for fewer orders is in the second-
/// and third-level caches, where that is more than it saves: there `Near` looks.
pub(crate) const ORDERS_MIN: u32 = 1 << 17;

/// The same for [`Near`].
pub(crate) const NEAR_DISTANCE: usize = 2;

/// What is known of a record after its latest step.
#[derive(Clone, Copy)]
struct Known {
    place: Place,
    /// The order in that place, or `NONE`: then the record enters one.
    slot: u32,
    /// Where the symbol is first looked for.
    symbol: u32,
    instrument: InstrumentId,
    session: SessionId,
    firm: FirmId,
    side: Side,
    price: u32,
    level: u32,
}

const UNKNOWN: Known = Known {
    place: Place::FIRST,
    slot: NONE,
    symbol: 0,
    instrument: InstrumentId(0),
    session: SessionId::NONE,
    firm: FirmId(0),
    side: Side::Buy,
    price: 0,
    level: NONE,
};

/// The records of one batch that are looked at and have not been applied.
pub(crate) struct Ahead<'a> {
    /// What has not been looked at.
    rest: &'a [u8],
    /// What will be looked at then: of the batch behind.
    coming: &'a [u8],
    ring: [Known; RING],
    looked: usize,
}

impl<'a> Ahead<'a> {
    pub fn new(records: &'a [u8], coming: &'a [u8]) -> Self {
        Self {
            rest: records,
            coming,
            ring: [UNKNOWN; RING],
            looked: 0,
        }
    }

    /// Takes the first step of the next record and the later steps of those before it.
    #[inline(always)]
    pub fn step(&mut self, machine: &StateMachine) {
        let now = self.looked;
        self.looked = now.wrapping_add(1);
        self.ring[now % RING] = match glance(&mut self.rest) {
            Some(glance) => machine.warm_named(&glance),
            None => {
                self.rest = core::mem::take(&mut self.coming);
                UNKNOWN
            }
        };
        machine.warm_found(&mut self.ring[now.wrapping_sub(STEP) % RING]);
        machine.warm_around(&mut self.ring[now.wrapping_sub(2 * STEP) % RING]);
        let last = self.ring[now.wrapping_sub(3 * STEP) % RING];
        machine.pool.warm_tail(last.level, last.slot);
    }
}

/// The same in a smaller venue, for a fraction of the work: the two next records of a batch, in two steps.
pub(crate) struct Near<'a> {
    rest: &'a [u8],
    /// Of the record that comes first of those that have been looked at.
    place: Place,
}

impl<'a> Near<'a> {
    pub fn new(records: &'a [u8]) -> Self {
        Self {
            rest: records,
            place: Place::FIRST,
        }
    }

    /// Takes the first step of the next record and the second of the one before it.
    #[inline(always)]
    pub fn step(&mut self, machine: &StateMachine) {
        let slot = machine.pool.warm_order(self.place);
        prefetch(&machine.details, slot as usize);
        if let Some(glance) = glance(&mut self.rest) {
            self.place = machine.warm_owner(glance.session, glance.number);
        }
    }
}

/// What may stand in a record.
struct Glance {
    session: SessionId,
    /// Of the order that it names.
    number: u32,
    symbol: [u8; 8],
    side: u8,
    price: u32,
}

const BODY: usize = RECORD_HEADER_LENGTH;
const SYMBOL: usize = BODY + offset_of!(ArchivedEnterOrder, symbol);
const SIDE: usize = BODY + offset_of!(ArchivedEnterOrder, side);
/// Its lower half: no limit price is higher.
const PRICE: usize = BODY + offset_of!(ArchivedEnterOrder, price);
/// Bytes that are looked at from a record's first on, whosever they are.
const SEEN: usize = 56;
const _: () = assert!(SYMBOL + 8 <= SEEN && SIDE < SEEN && PRICE + 4 <= SEEN);

/// Where the number of the order stands, by the last two bits of the kind.
const NUMBERS: [usize; 4] = {
    let mut numbers = [0; 4];
    numbers[Kind::ENTER_ORDER.0 as usize % 4] = BODY + offset_of!(ArchivedEnterOrder, user_ref_num);
    numbers[Kind::REPLACE_ORDER.0 as usize % 4] =
        BODY + offset_of!(ArchivedReplaceOrder, original_user_ref_num);
    numbers[Kind::CANCEL_ORDER.0 as usize % 4] =
        BODY + offset_of!(ArchivedCancelOrder, user_ref_num);
    numbers[Kind::MODIFY_ORDER.0 as usize % 4] =
        BODY + offset_of!(ArchivedModifyOrder, user_ref_num);
    numbers
};

/// Reads what may stand in the record at the start of `rest`, unchecked, and goes on behind it; `None` near
/// the end.
#[inline(always)]
fn glance(rest: &mut &[u8]) -> Option<Glance> {
    let bytes: &[u8; SEEN] = rest.first_chunk()?;
    // Length, kind and session: the record's byte table.
    let word = |at: usize| {
        let bytes = bytes.get(at..at + 4).and_then(|b| b.first_chunk());
        bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes))
    };
    let length = (word(0) as usize).max(RECORD_HEADER_LENGTH);
    *rest = rest.get(length..).unwrap_or(&[]);
    let mut symbol = [0; 8];
    symbol.copy_from_slice(&bytes[SYMBOL..SYMBOL + 8]);
    Some(Glance {
        session: SessionId(word(8)),
        number: word(NUMBERS[usize::from(bytes[4]) % 4]),
        symbol,
        side: bytes[SIDE],
        price: word(PRICE),
    })
}

/// The steps.
impl StateMachine {
    /// The session, and where index and symbol table are first looked at.
    #[inline(always)]
    fn warm_named(&self, glance: &Glance) -> Known {
        Known {
            place: self.warm_owner(glance.session, glance.number),
            symbol: self.instruments.warm_symbol(glance.symbol),
            session: glance.session,
            side: select_unpredictable(glance.side == b'B', Side::Buy, Side::Sell),
            price: glance.price,
            ..UNKNOWN
        }
    }

    /// The session, and where the index has an order of it.
    #[inline(always)]
    fn warm_owner(&self, session: SessionId, number: u32) -> Place {
        self.sessions.warm(session);
        if self.risk.tracking {
            self.risk.warm_session(session);
        }
        // On channel 0, as nearly all are.
        self.pool.warm_key(owner(session, 0), number)
    }

    /// The order, and the instrument of one to be entered.
    #[inline(always)]
    fn warm_found(&self, known: &mut Known) {
        known.slot = self.pool.warm_order(known.place);
        prefetch(&self.details, known.slot as usize);
        let (firm, last_order) = self.sessions.glance(known.session);
        known.firm = firm;
        prefetch(&self.details, last_order as usize);
        known.instrument = self.instruments.glance(known.symbol);
        self.instruments
            .warm(known.instrument, lane(known.side, false));
    }

    /// What lies around the order: its neighbours on its level and in its session's list, its level, its
    /// instrument, its firm; or those of one to be entered.
    #[inline(always)]
    fn warm_around(&self, known: &mut Known) {
        let enters = known.slot == NONE;
        let order = self.pool.warm_links(known.slot);
        let instrument = select_unpredictable(enters, known.instrument, order.instrument());
        let lane = select_unpredictable(enters, lane(known.side, false), order.lane());
        self.instruments.warm(instrument, lane);
        let rests = self
            .instruments
            .glance_at(known.instrument)
            .map_or(NONE, |place| {
                let tick = known.price / place.tick_size.max(1);
                self.pool.level_at(&place.book, known.side, tick)
            });
        known.level = select_unpredictable(enters, rests, order.level);
        self.pool.levels.warm(known.level);
        let last = self.details.len().saturating_sub(1);
        let Some(detail) = self.details.get((known.slot as usize).min(last)) else {
            return;
        };
        prefetch(&self.details, detail.prev as usize);
        prefetch(&self.details, detail.next as usize);
        if self.risk.tracking {
            let firm = select_unpredictable(enters, known.firm, detail.firm());
            self.risk.warm_firm(firm, instrument);
        }
    }
}
