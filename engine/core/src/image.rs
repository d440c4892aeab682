//! The canonical image of the state: every field that can influence an outcome, in one fixed order,
//! independent of slots, tables and hashes. Its SHA-256 is the state hash; a snapshot is its bytes.
//!
//! Each structure is taken apart here **once**, without `..`, by a function that both writes and reads it
//! (`walk.rs`): a new field does not compile until somebody has put it into its `walk_*` function, and then
//! it is hashed, saved and loaded. A new list gets a `write_*` here and its `read_*` in `load.rs`. What
//! `load` accepts passes `check_invariants`, and is written again with the same bytes.

mod load;
mod risk;
mod walk;

use crate::book::pool::{Book, LANES, Order};
use crate::book::share::Allocation;
use crate::bounds::Bounds;
use crate::digest::Digest;
use crate::extension::Extension;
use crate::features::Features;
use crate::instrument::{BookMark, Instrument};
use crate::machine::{Counters, Day, Position, StateMachine};
use crate::order::Detail;
use crate::peg::{Peg, PegKind};
use crate::phase::{AuctionRules, Phase, Schedule};
use crate::session::{PERMITTED_FIRMS_MAX, Session};
use crate::state::TradingState;
use crate::statistics::Statistics;
use crate::stop::{Trigger, Waiting};
use crate::tick::{TICK_BANDS_MAX, TickBand, TickTable};
use crate::{InvariantError, NONE};
use lockstep_record::{InstrumentId, SessionId};
use sha2::{Digest as _, Sha256};
use thiserror::Error;
pub(crate) use walk::Walk;
use walk::Writer;

/// Version of the image's layout, its first field. Raised whenever a `walk_*` function changes.
pub const IMAGE_VERSION: u32 = 5;

/// Part of an image, a section of a snapshot. In an image they stand in this order, each once.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u32)]
pub enum Section {
    /// Place in the log, digest.
    Position = 1,
    /// Bounds, features, day, last numbers given, counters, firms.
    Venue = 2,
    Sessions = 3,
    /// Instruments with their live orders.
    Books = 4,
    /// What the operator lets sessions, firms and the venue do; positions and trades.
    Risk = 5,
    /// Live orders that wait out of their books.
    Waiting = 6,
}

impl Section {
    pub const ALL: [Self; 6] = [
        Self::Position,
        Self::Venue,
        Self::Sessions,
        Self::Books,
        Self::Risk,
        Self::Waiting,
    ];

    /// The section of a tag in a file.
    pub fn from_u32(tag: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|section| *section as u32 == tag)
    }
}

/// Receives the image front to back.
pub trait ImageSink {
    fn section(&mut self, section: Section);
    fn bytes(&mut self, bytes: &[u8]);
}

/// The state hash of an image that comes in pieces: SHA-256 over each section's tag (u32) and bytes.
#[derive(Clone, Default, Debug)]
pub struct ImageHash(Sha256);

impl ImageHash {
    pub fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

impl ImageSink for ImageHash {
    fn section(&mut self, section: Section) {
        self.0.update((section as u32).to_le_bytes());
    }
    fn bytes(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
}

/// Why an image cannot be loaded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum LoadError {
    #[error(
        "the image has version {found}, this binary reads {IMAGE_VERSION}: replay the log instead, or run the binary that made it"
    )]
    Version { found: u32 },
    #[error("section {wanted:?} is missing, {found:?} is in its place")]
    Section {
        wanted: Section,
        found: Option<Section>,
    },
    #[error("section {section:?} follows the last one")]
    Unknown { section: Section },
    #[error("section {section:?} ends within a field")]
    Truncated { section: Section },
    #[error("section {section:?} has {bytes} bytes behind its last field")]
    Trailing { section: Section, bytes: usize },
    #[error("section {section:?}: {what}")]
    Value {
        section: Section,
        what: &'static str,
    },
    #[error("the state has {bound} {wanted}, this node holds {held}: raise its capacity")]
    Capacity {
        bound: &'static str,
        wanted: u32,
        held: u32,
    },
    #[error("the loaded state contradicts itself: {0}")]
    Invariant(#[from] InvariantError),
}

impl StateMachine {
    /// SHA-256 over every field that can influence an outcome. Equal states have equal hashes however
    /// they came about; it walks the whole state and is not for the hot path.
    pub fn state_hash(&self) -> [u8; 32] {
        let mut hash = ImageHash::default();
        self.write_image(&mut hash);
        hash.finish()
    }

    /// Writes the whole image. Walks the whole state and is not for the hot path.
    pub fn write_image(&self, sink: &mut dyn ImageSink) {
        let mut writer = Writer::new(sink);
        writer.section(Section::Position);
        writer.put(IMAGE_VERSION);
        let (mut position, mut digest) = (self.position, self.digest);
        walk_position(&mut writer, &mut position, &mut digest);
        self.write_content(&mut writer);
    }

    /// All but the place in the log and the digest, which tell how the state came about.
    fn write_content(&self, writer: &mut Writer<'_>) {
        let Self {
            capacity: _, // the process's, not the log's
            bounds,
            features,
            position: _, // written by write_image
            day,
            firms: _,       // written by write_firms
            sessions: _,    // written by write_sessions
            instruments: _, // written by write_books
            pool: _,        // written book by book
            details: _,     // written order by order
            extensions: _,  // written order by order
            timers: _,      // the earliest of each instrument's times
            random,
            stops: _,   // written by write_waiting
            pegs: _,    // written order by order
            touched: _, // empty between records
            risk: _,    // written by write_risk (image/risk.rs)
            ticks: _,   // written book by book
            random_seed,
            last_reference,
            last_match,
            counters,
            digest: _,  // written by write_image
            stopped: _, // such a state is not used
        } = self;
        writer.section(Section::Venue);
        walk_bounds(writer, &mut bounds.clone());
        walk_features(writer, &mut features.clone());
        walk_day(writer, &mut day.clone());
        walk_last_numbers(writer, &mut last_reference.clone(), &mut last_match.clone());
        writer.u64(&mut random_seed.clone());
        walk_counters(writer, &mut counters.clone());
        writer.u64(&mut random.0.clone());
        self.write_firms(writer);
        writer.section(Section::Sessions);
        self.write_sessions(writer);
        writer.section(Section::Books);
        self.write_books(writer);
        writer.section(Section::Risk);
        self.write_risk(writer);
        writer.section(Section::Waiting);
        self.write_waiting(writer);
        writer.flush();
    }

    fn write_firms(&self, writer: &mut Writer<'_>) {
        writer.put(self.firms.defined().count() as u32);
        for (id, mut code) in self.firms.defined() {
            writer.put(id.0);
            writer.bytes(&mut code);
        }
    }

    fn write_sessions(&self, writer: &mut Writer<'_>) {
        writer.put(self.sessions.defined().count() as u32);
        for id in self.sessions.defined() {
            writer.put(id.0);
            walk_session(writer, &mut self.sessions.get(id).clone());
            self.write_numbers(id, writer);
        }
    }

    /// Last numbers of the channels that were used today, by channel.
    fn write_numbers(&self, id: SessionId, writer: &mut Writer<'_>) {
        let used = self.sessions.numbers(id).filter(|(_, last)| *last != 0);
        writer.put(used.clone().count() as u32);
        for (mut channel, mut last) in used {
            writer.u8(&mut channel);
            writer.u32(&mut last);
        }
    }

    fn write_books(&self, writer: &mut Writer<'_>) {
        writer.put(self.instruments.defined().count() as u32);
        for id in self.instruments.defined() {
            self.write_book(id, writer);
        }
    }

    fn write_book(&self, id: InstrumentId, writer: &mut Writer<'_>) {
        let mut instrument = *self.instruments.get(id);
        writer.put(id.0);
        walk_instrument(writer, &mut instrument);
        walk_ticks(writer, &mut self.ticks.get(id).clone());
        walk_phase(writer, &mut self.instruments.phase(id).clone());
        for mark in BookMark::ALL {
            self.write_ladders(self.instruments.book(id, mark), writer);
        }
    }

    fn write_ladders(&self, book: &Book, writer: &mut Writer<'_>) {
        for lane in 0..LANES {
            let mut at = None;
            while let Some((level, tick)) = self.pool.next_level(book, lane, at) {
                at = Some(level);
                writer.put(tick);
                writer.put(self.pool.level_orders(level).count() as u32);
                for slot in self.pool.level_orders(level) {
                    self.write_order(slot, writer);
                }
            }
            // Ends the ladder: no level lies there.
            writer.put(NONE);
        }
    }

    #[inline(always)]
    fn write_order(&self, slot: u32, writer: &mut Writer<'_>) {
        let (mut order, mut detail) = (*self.pool.order(slot), self.details[slot as usize]);
        walk_order(writer, &mut order, &mut detail);
        let mut extended = detail.extension != NONE;
        writer.flag(&mut extended);
        if extended {
            walk_extension(writer, &mut self.extensions.get(detail.extension).clone());
            let mut pegged = self.pegs.holds(detail.extension);
            writer.flag(&mut pegged);
            if pegged {
                walk_peg(writer, &mut self.pegs.get(detail.extension).clone());
            }
        }
    }
}

impl StateMachine {
    /// Orders that wait, by session and oldest order reference first; then those that are triggered, by
    /// instrument, in the order in which they will act.
    fn write_waiting(&self, writer: &mut Writer<'_>) {
        writer.put(self.stops.count() + self.waiting_pegs().count() as u32);
        for id in self.sessions.defined() {
            let mut slot = self.sessions.get(id).first_order;
            while slot != NONE {
                let (order, detail) = (self.pool.order(slot), &self.details[slot as usize]);
                if order.is_held() {
                    writer.put(order.book());
                    writer.put(order.lane() as u32);
                    self.write_order(slot, writer);
                    if self.stops.holds(detail.extension) {
                        let waiting = self.stops.get(detail.extension);
                        let mut trigger = self.stops.trigger(detail.extension);
                        walk_waiting(writer, &mut waiting.clone(), &mut trigger);
                    }
                }
                slot = detail.next;
            }
        }
        let triggered = || {
            let of = |id: InstrumentId| self.stops.triggered(id.0);
            self.instruments.defined().flat_map(of)
        };
        writer.put(triggered().count() as u32);
        for index in triggered() {
            let order = self.pool.order(self.stops.get(index).slot);
            writer.put(order.owner);
            writer.put(order.number);
        }
    }
}

fn walk_peg(walk: &mut impl Walk, peg: &mut Peg) {
    let Peg {
        kind,
        offset,
        price,
    } = peg;
    let mut letter = *kind as u8;
    walk.u8(&mut letter);
    match PegKind::from_u8(letter) {
        Some(known) if known as u8 == letter => *kind = known,
        _ => walk.refuse("a peg is unknown"),
    }
    let mut bits = offset.cast_unsigned();
    walk.u32(&mut bits);
    *offset = bits.cast_signed();
    walk.u64(price);
}

fn walk_waiting(walk: &mut impl Walk, waiting: &mut Waiting, trigger: &mut Trigger) {
    let Waiting {
        slot: _,
        reference: _, // written with the order
        price,
        side: _, // the order's
    } = waiting;
    let Trigger {
        extreme,
        offset,
        fixed,
    } = trigger;
    walk.u64(price);
    walk.u32(extreme);
    walk.u32(offset);
    walk.u32(fixed);
}

fn walk_position(walk: &mut impl Walk, position: &mut Position, digest: &mut Digest) {
    let Position {
        term,
        index,
        sequence,
        timestamp,
    } = position;
    walk.u64(&mut term.0);
    walk.u64(&mut index.0);
    walk.u64(&mut sequence.0);
    walk.u64(&mut timestamp.0);
    walk.u64(&mut digest.0);
}

fn walk_bounds(walk: &mut impl Walk, bounds: &mut Bounds) {
    let Bounds {
        open_orders_max,
        instruments_max,
        sessions_max,
        firms_max,
        price_levels_max,
    } = bounds;
    walk.u32(open_orders_max);
    walk.u32(instruments_max);
    walk.u32(sessions_max);
    walk.u32(firms_max);
    walk.u32(price_levels_max);
}

fn walk_features(walk: &mut impl Walk, features: &mut Features) {
    let Features {
        set_version,
        price_max,
        market_price_min,
        quantity_max,
        displays_max,
    } = features;
    walk.u64(set_version);
    walk.u64(price_max);
    walk.u64(market_price_min);
    walk.u32(quantity_max);
    walk.u32(displays_max);
}

fn walk_day(walk: &mut impl Walk, day: &mut Day) {
    let Day {
        open,
        date,
        midnight,
        session_name,
    } = day;
    walk.flag(open);
    walk.u32(date);
    walk.u64(midnight);
    walk.bytes(session_name);
}

fn walk_last_numbers(walk: &mut impl Walk, last_reference: &mut u64, last_match: &mut u64) {
    walk.u64(last_reference);
    walk.u64(last_match);
}

fn walk_counters(walk: &mut impl Walk, counters: &mut Counters) {
    let Counters {
        stale,
        refused,
        silent,
    } = counters;
    walk.u64(stale);
    walk.u64(refused);
    walk.u64(silent);
}

fn walk_session(walk: &mut impl Walk, session: &mut Session) {
    let Session {
        defined: _, // only defined ones are written
        connected,
        cancel_on_disconnect,
        order_entry,
        entry,
        away,
        throttled: _,        // its throttle says so
        first_protection: _, // the list is written behind
        gateway,
        epoch,
        number: _, // written with the other channels'
        connection,
        next_outbound,
        firm,
        first_order: _, // the list holds the session's live orders by reference
        last_order: _,
        open_orders: _,
        user,
        permitted,
        permitted_count,
        disabled,
        self_trade_group,
        self_trade_mode,
    } = session;
    walk.flag(connected);
    walk.flag(cancel_on_disconnect);
    walk.flag(order_entry);
    entry.walk(walk);
    walk.flag(away);
    walk.u16(&mut gateway.0);
    walk.u32(&mut epoch.0);
    walk.u64(connection);
    walk.u64(next_outbound);
    walk.u32(&mut firm.0);
    walk.bytes(user);
    walk.u8(permitted_count);
    if usize::from(*permitted_count) > PERMITTED_FIRMS_MAX {
        walk.refuse("a session has too many permitted firms");
        *permitted_count = 0;
    }
    for firm in &mut permitted[..usize::from(*permitted_count)] {
        walk.u32(&mut firm.0);
    }
    walk.u32(disabled);
    walk.u32(self_trade_group);
    walk.u8(self_trade_mode);
}

fn walk_ticks(walk: &mut impl Walk, ticks: &mut TickTable) {
    let TickTable { bands, count } = ticks;
    walk.u8(count);
    if usize::from(*count) > TICK_BANDS_MAX {
        walk.refuse("a tick table has too many bands");
        *count = 0;
    }
    for band in &mut bands[..usize::from(*count)] {
        let TickBand {
            from_price,
            tick_size,
        } = band;
        walk.u32(from_price);
        walk.u32(tick_size);
    }
}

fn walk_instrument(walk: &mut impl Walk, instrument: &mut Instrument) {
    let Instrument {
        symbol,
        tick_size,
        lot_size,
        banded: _, // its tick table says so
        retired,
        state,
        last_price,
        allocation,
        collared: _, // says whether its rules have a collar
        book: _,     // written level by level
        statistics,
    } = instrument;
    walk.bytes(symbol);
    walk.u32(tick_size);
    walk.u32(lot_size);
    walk.flag(retired);
    walk.u32(last_price);
    let (mut kind, mut minimum, mut percent) = allocation.parts();
    walk.u8(&mut kind);
    walk.u32(&mut minimum);
    walk.u32(&mut percent);
    match Allocation::of(kind, minimum, percent) {
        Some(known) => *allocation = known,
        None => walk.refuse("an allocation is unknown"),
    }
    let mut letter = *state as u8;
    walk.u8(&mut letter);
    match TradingState::from_u8(letter) {
        Some(known) => *state = known,
        None => walk.refuse("a trading state is unknown"),
    }
    walk_statistics(walk, statistics);
}

fn walk_statistics(walk: &mut impl Walk, statistics: &mut Statistics) {
    let Statistics {
        open_price,
        high_price,
        low_price,
        last_price,
        closing_price,
        previous_close_price,
        trade_count,
        volume,
    } = statistics;
    walk.u32(open_price);
    walk.u32(high_price);
    walk.u32(low_price);
    walk.u32(last_price);
    walk.u32(closing_price);
    walk.u32(previous_close_price);
    walk.u32(trade_count);
    walk.u64(volume);
}

fn walk_phase(walk: &mut impl Walk, phase: &mut Phase) {
    let Phase {
        schedule:
            Schedule {
                times_ms,
                random_end_ms: schedule_random_end_ms,
            },
        next_scheduled,
        call_ends,
        next_state,
        indicates,
        rules,
        reference_price,
        call: _, // written level by level behind the instrument's own book
        close: _,
    } = phase;
    for time in times_ms {
        walk.u32(time);
    }
    walk.u32(schedule_random_end_ms);
    walk.u8(next_scheduled);
    walk.u64(&mut call_ends.0);
    let mut letter = *next_state as u8;
    walk.u8(&mut letter);
    match TradingState::from_u8(letter) {
        Some(known @ (TradingState::Trading | TradingState::Closed)) => *next_state = known,
        _ => walk.refuse("a call ends in no state that may follow"),
    }
    walk.u64(&mut indicates.0);
    walk_rules(walk, rules);
    walk.u32(reference_price);
    if !phase.is_legal() {
        walk.refuse("a schedule or a rule of auctions is not legal");
    }
}

fn walk_rules(walk: &mut impl Walk, rules: &mut AuctionRules) {
    let AuctionRules {
        static_collar,
        dynamic_collar,
        collar_action,
        duration_ms,
        random_end_ms,
        indication_interval_ms,
    } = rules;
    walk.u32(static_collar);
    walk.u32(dynamic_collar);
    walk.u8(collar_action);
    walk.u32(duration_ms);
    walk.u32(random_end_ms);
    walk.u32(indication_interval_ms);
}

/// Price, side and display are those of the level it is written under.
#[inline(always)]
fn walk_order(walk: &mut impl Walk, order: &mut Order, detail: &mut Detail) {
    let Order {
        next: _, // priority is the order of writing
        prev: _,
        level: _, // its price has been written
        open,
        executed,
        number,
        owner,
        place: _, // its book and side have been written
    } = order;
    let Detail {
        reference,
        next: _, // the session's list is by reference
        prev: _,
        client_order_id,
        firm,
        group_id,
        kept,
        side,
        time_in_force,
        display,
        capacity,
        cross_type,
        customer_type,
        trade_now,
        post_only,
        self_trade,
        extension: _, // written behind
    } = detail;
    walk.u32(owner);
    walk.u32(number);
    walk.u32(open);
    walk.u32(executed);
    walk.u64(reference);
    walk.bytes(client_order_id);
    walk.u16(firm);
    walk.u16(group_id);
    walk.u8(kept);
    walk.u8(side);
    walk.u8(time_in_force);
    walk.u8(display);
    walk.u8(capacity);
    walk.u8(cross_type);
    walk.u8(customer_type);
    walk.u8(trade_now);
    walk.u8(post_only);
    walk.u8(self_trade);
}

/// Behind an order that has one, which a flag says.
fn walk_extension(walk: &mut impl Walk, extension: &mut Extension) {
    let Extension {
        deadline,
        expire_time,
        max_floor,
        random,
        refreshed,
        reserve,
        at: _, // the heap is by (deadline, reference)
        slot: _,
        instrument: _, // the list is by instrument and reference
        next: _,
        prev: _,
    } = extension;
    walk.u64(&mut deadline.0);
    walk.u32(expire_time);
    walk.u32(max_floor);
    walk.u32(random);
    walk.u32(refreshed);
    walk.u32(reserve);
}

#[cfg(test)]
mod tests;
