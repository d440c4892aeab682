//! The canonical image of the state: every field that can influence an outcome, in one fixed order,
//! independent of slots, tables and hashes. Its SHA-256 is the state hash.
//!
//! Each structure is taken apart without `..`, so that a new field does not compile until somebody has
//! decided here whether it is part of the image. Integers little-endian; counts before lists. (Snapshots
//! will be written from the same walk; loading one and migrating it belong here too.)

use crate::book::pool::{Book, LANES, Order};
use crate::bounds::Bounds;
use crate::digest::Digest;
use crate::features::Features;
use crate::instrument::{BookMark, Instrument};
use crate::machine::{Counters, Day, Position, StateMachine};
use crate::order::Detail;
use crate::phase::{AuctionRules, Phase, Schedule};
use crate::session::Session;
use crate::statistics::Statistics;
use lockstep_record::{InstrumentId, SessionId};
use sha2::{Digest as _, Sha256};

/// Version of the image's layout, its first field.
const IMAGE_VERSION: u32 = 1;

/// Receives the image front to back.
pub(crate) struct Image<'a> {
    put: &'a mut dyn FnMut(&[u8]),
}

impl Image<'_> {
    fn bytes(&mut self, bytes: &[u8]) {
        (self.put)(bytes);
    }
    fn u8(&mut self, value: u8) {
        self.bytes(&[value]);
    }
    fn u16(&mut self, value: u16) {
        self.bytes(&value.to_le_bytes());
    }
    fn u32(&mut self, value: u32) {
        self.bytes(&value.to_le_bytes());
    }
    fn u64(&mut self, value: u64) {
        self.bytes(&value.to_le_bytes());
    }
    fn flag(&mut self, value: bool) {
        self.u8(u8::from(value));
    }
}

impl StateMachine {
    /// SHA-256 over every field that can influence an outcome. Equal states have equal hashes however
    /// they came about; it walks the whole state and is not for the hot path.
    pub fn state_hash(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        self.write_image(&mut |bytes| hash.update(bytes));
        hash.finalize().into()
    }

    /// Writes the whole image.
    pub(crate) fn write_image(&self, put: &mut dyn FnMut(&[u8])) {
        let mut image = Image { put };
        image.u32(IMAGE_VERSION);
        write_position(&self.position, self.digest, &mut image);
        self.write_content(&mut image);
    }

    /// All but the place in the log and the digest, which tell how the state came about.
    fn write_content(&self, image: &mut Image<'_>) {
        let Self {
            capacity: _, // the process's, not the log's
            bounds,
            features,
            position: _, // written by write_image
            day,
            firms,
            sessions,
            instruments,
            pool: _,       // written book by book
            details: _,    // written order by order
            extensions: _, // written order by order
            timers: _,     // the earliest of each instrument's times
            random,
            last_reference,
            last_match,
            counters,
            digest: _,  // written by write_image
            stopped: _, // such a state is not used
        } = self;
        write_bounds(bounds, image);
        write_features(features, image);
        write_day(day, image);
        image.u64(*last_reference);
        image.u64(*last_match);
        image.u64(random.0);
        write_counters(counters, image);
        image.u32(firms.defined().count() as u32);
        for (id, code) in firms.defined() {
            image.u32(id.0);
            image.bytes(&code);
        }
        image.u32(sessions.defined().count() as u32);
        for id in sessions.defined() {
            self.write_session(id, image);
        }
        image.u32(instruments.defined().count() as u32);
        for id in instruments.defined() {
            self.write_instrument(id, image);
        }
    }

    fn write_session(&self, id: SessionId, image: &mut Image<'_>) {
        let Session {
            defined: _, // only defined ones are written
            connected,
            cancel_on_disconnect,
            order_entry,
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
        } = self.sessions.get(id);
        image.u32(id.0);
        image.flag(*connected);
        image.flag(*cancel_on_disconnect);
        image.flag(*order_entry);
        image.u16(gateway.0);
        image.u32(epoch.0);
        image.u64(*connection);
        image.u64(*next_outbound);
        image.u32(firm.0);
        image.bytes(user);
        image.u8(*permitted_count);
        for firm in &permitted[..usize::from(*permitted_count)] {
            image.u32(firm.0);
        }
        image.u32(*disabled);
        image.u32(*self_trade_group);
        image.u8(*self_trade_mode);
        let used = self.sessions.numbers(id).filter(|(_, last)| *last != 0);
        image.u32(used.clone().count() as u32);
        for (channel, last) in used {
            image.u8(channel);
            image.u32(last);
        }
    }

    fn write_extension(&self, slot: u32, image: &mut Image<'_>) {
        let extension = self.extensions.of(self.details[slot as usize].extension);
        image.u64(extension.deadline.0);
        image.u32(extension.expire_time);
        image.u32(extension.max_floor);
        image.u32(extension.reserve);
    }

    fn write_instrument(&self, id: InstrumentId, image: &mut Image<'_>) {
        let Instrument {
            symbol,
            tick_size,
            lot_size,
            state,
            collared: _, // says whether its rules have a collar
            book: _,     // written below, with the others
            statistics,
        } = self.instruments.get(id);
        image.u32(id.0);
        image.bytes(symbol);
        image.u32(*tick_size);
        image.u32(*lot_size);
        image.u8(*state as u8);
        write_statistics(statistics, image);
        write_phase(self.instruments.phase(id), image);
        for mark in BookMark::ALL {
            self.write_book(self.instruments.book(id, mark), image);
        }
    }

    fn write_book(&self, book: &Book, image: &mut Image<'_>) {
        for lane in 0..LANES {
            let mut at = None;
            while let Some((level, tick)) = self.pool.next_level(book, lane, at) {
                at = Some(level);
                image.u32(tick);
                image.u32(self.pool.level_orders(level).count() as u32);
                for slot in self.pool.level_orders(level) {
                    self.write_extension(slot, image);
                    write_order(self.pool.order(slot), &self.details[slot as usize], image);
                }
            }
            // Ends the ladder: no level lies there.
            image.u32(u32::MAX);
        }
    }
}

fn write_position(position: &Position, digest: Digest, image: &mut Image<'_>) {
    let Position {
        term,
        index,
        sequence,
        timestamp,
    } = position;
    image.u64(term.0);
    image.u64(index.0);
    image.u64(sequence.0);
    image.u64(timestamp.0);
    image.u64(digest.0);
}

fn write_bounds(bounds: &Bounds, image: &mut Image<'_>) {
    let Bounds {
        open_orders_max,
        instruments_max,
        sessions_max,
        firms_max,
        price_levels_max,
    } = bounds;
    for bound in [
        open_orders_max,
        instruments_max,
        sessions_max,
        firms_max,
        price_levels_max,
    ] {
        image.u32(*bound);
    }
}

fn write_features(features: &Features, image: &mut Image<'_>) {
    let Features {
        set_version,
        price_max,
        market_price_min,
        quantity_max,
        displays_max,
    } = features;
    image.u64(*set_version);
    image.u64(*price_max);
    image.u64(*market_price_min);
    image.u32(*quantity_max);
    image.u32(*displays_max);
}

fn write_day(day: &Day, image: &mut Image<'_>) {
    let Day {
        open,
        date,
        midnight,
        session_name,
    } = day;
    image.flag(*open);
    image.u32(*date);
    image.u64(*midnight);
    image.bytes(session_name);
}

fn write_counters(counters: &Counters, image: &mut Image<'_>) {
    let Counters {
        stale,
        refused,
        silent,
    } = counters;
    image.u64(*stale);
    image.u64(*refused);
    image.u64(*silent);
}

fn write_statistics(statistics: &Statistics, image: &mut Image<'_>) {
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
    for number in [
        open_price,
        high_price,
        low_price,
        last_price,
        closing_price,
        previous_close_price,
        trade_count,
    ] {
        image.u32(*number);
    }
    image.u64(*volume);
}

fn write_phase(phase: &Phase, image: &mut Image<'_>) {
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
        rules:
            AuctionRules {
                static_collar,
                dynamic_collar,
                collar_action,
                duration_ms,
                random_end_ms,
                indication_interval_ms,
            },
        reference_price,
        call: _, // written with the instrument's own book
        close: _,
    } = phase;
    for number in times_ms.iter().chain([
        schedule_random_end_ms,
        static_collar,
        dynamic_collar,
        duration_ms,
        random_end_ms,
        indication_interval_ms,
        reference_price,
    ]) {
        image.u32(*number);
    }
    image.bytes(&[*next_scheduled, *next_state as u8, *collar_action]);
    image.u64(call_ends.0);
    image.u64(indicates.0);
}

fn write_order(order: &Order, detail: &Detail, image: &mut Image<'_>) {
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
        extension: _, // written beside
    } = detail;
    image.u32(*owner);
    image.u32(*number);
    image.u32(*open);
    image.u32(*executed);
    image.u64(*reference);
    image.bytes(client_order_id);
    image.u16(*firm);
    image.u16(*group_id);
    image.bytes(&[*kept, *side, *time_in_force, *display]);
    image.bytes(&[*capacity, *cross_type, *customer_type, *trade_now]);
    image.bytes(&[*post_only, *self_trade]);
}

#[cfg(test)]
mod tests;
