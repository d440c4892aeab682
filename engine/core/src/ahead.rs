//! Reading ahead: in a replay the next records are known, and so is most of the memory that they will need.
//!
//! In a state that is larger than the caches, a cancel waits for the index, then for the order, then for its
//! neighbours. Here those lines are asked for some hundred records early, in stages, each behind the one whose
//! lines it reads. It looks and never changes anything, at bytes that nobody may have verified yet: nothing it reads
//! decides anything, and anything may be in it.

use crate::NONE;
use crate::machine::StateMachine;
use crate::session::owner;
use lockstep_record::{Kind, RECORD_HEADER_LENGTH, SessionId, Side};

/// With fewer live orders the state is in the second-level cache, and reading ahead only costs.
const LIVE_ORDERS_MIN: u32 = 16 << 10;
/// Keys whose stages are passed together.
const KEYS_MAX: usize = 32;
/// Queues that coming aggressors would take from, and orders of one that are asked for.
const QUEUES_MAX: usize = 16;
const DEPTH_MAX: u32 = 6;

/// Asks the processor for the cache line in which a value begins, and waits for nothing.
pub trait Prefetch {
    fn prefetch<T>(value: &T);
}

/// Keys (owner, number) of orders that coming records are about.
#[derive(Clone, Copy, Debug)]
struct Keys {
    keys: [(u32, u32); KEYS_MAX],
    count: usize,
}

const NO_KEYS: Keys = Keys {
    keys: [(0, 0); KEYS_MAX],
    count: 0,
};

/// Slots of orders whose lines have been asked for, each with the key that led there.
#[derive(Clone, Copy, Debug)]
struct Slots {
    slots: [(u32, (u32, u32)); KEYS_MAX],
    count: usize,
}

const NO_SLOTS: Slots = Slots {
    slots: [(NONE, (0, 0)); KEYS_MAX],
    count: 0,
};

/// A queue that aggressors will take from: the next order to look at, and how many more.
#[derive(Clone, Copy, Debug)]
struct Queue {
    level: u32,
    slot: u32,
    left: u32,
}

/// What has been asked for, by stage.
#[derive(Debug)]
pub struct ReadAhead {
    gathered: Keys,
    /// Their places in the index are on their way.
    placed: Keys,
    /// Their orders are on their way.
    found: Slots,
    queues: [Queue; QUEUES_MAX],
    queue_count: usize,
}

impl Default for ReadAhead {
    fn default() -> Self {
        let none = Queue {
            level: NONE,
            slot: NONE,
            left: 0,
        };
        Self {
            gathered: NO_KEYS,
            placed: NO_KEYS,
            found: NO_SLOTS,
            queues: [none; QUEUES_MAX],
            queue_count: 0,
        }
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    let here = bytes.get(at..at + 2).and_then(|b| b.try_into().ok());
    u16::from_le_bytes(here.unwrap_or_default())
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let here = bytes.get(at..at + 4).and_then(|b| b.try_into().ok());
    u32::from_le_bytes(here.unwrap_or_default())
}

impl ReadAhead {
    /// Whether it is worth its cost in this state.
    #[inline(always)]
    pub fn helps(machine: &StateMachine) -> bool {
        machine.pool.live() >= LIVE_ORDERS_MIN
    }

    /// The records of a batch that is yet to be applied.
    pub fn records<P: Prefetch>(&mut self, machine: &StateMachine, mut records: &[u8]) {
        while records.len() >= RECORD_HEADER_LENGTH {
            let length = u32_at(records, 0) as usize;
            let Some((record, rest)) = records.split_at_checked(length) else {
                return;
            };
            if length < RECORD_HEADER_LENGTH {
                return;
            }
            records = rest;
            self.record::<P>(machine, record);
        }
    }

    /// Only the first channel's numbers: options are rare.
    #[inline(always)]
    fn record<P: Prefetch>(&mut self, machine: &StateMachine, record: &[u8]) {
        let body = RECORD_HEADER_LENGTH;
        let owner = owner(SessionId(u32_at(record, 8)), 0);
        let (first, second) = match Kind(u16_at(record, 4)) {
            Kind::ENTER_ORDER => {
                self.aggressor::<P>(machine, record);
                (16, None)
            }
            Kind::CANCEL_ORDER | Kind::MODIFY_ORDER => (0, None),
            Kind::REPLACE_ORDER => (8, Some(12)),
            _ => return,
        };
        self.key::<P>(machine, (owner, u32_at(record, body + first)));
        if let Some(second) = second {
            self.key::<P>(machine, (owner, u32_at(record, body + second)));
        }
    }

    #[inline(always)]
    fn key<P: Prefetch>(&mut self, machine: &StateMachine, key: (u32, u32)) {
        P::prefetch(machine.pool.likely_place(key.0, key.1));
        self.gathered.keys[self.gathered.count] = key;
        self.gathered.count += 1;
        if self.gathered.count == KEYS_MAX {
            self.advance::<P>(machine);
        }
    }

    /// Notes the queue that an order would take from as the book is now.
    #[inline(always)]
    fn aggressor<P: Prefetch>(&mut self, machine: &StateMachine, record: &[u8]) {
        let Some(body) = record.get(RECORD_HEADER_LENGTH..RECORD_HEADER_LENGTH + 48) else {
            return;
        };
        let mut symbol = [0; 8];
        symbol.copy_from_slice(&body[8..16]);
        let Some(id) = machine.instruments.find(symbol) else {
            return;
        };
        let instrument = machine.instruments.get(id);
        let price = u64::from(u32_at(body, 0)) | u64::from(u32_at(body, 4)) << 32;
        let tick = u32::try_from(price / u64::from(instrument.tick_size.max(1)));
        let side = if body[24] == b'B' {
            Side::Buy
        } else {
            Side::Sell
        };
        let target = tick.map(|tick| machine.pool.likely_target(&instrument.book, side, tick));
        let Ok(Some(level)) = target else {
            return;
        };
        let queues = &mut self.queues[..self.queue_count];
        if let Some(queue) = queues.iter_mut().find(|queue| queue.level == level) {
            queue.left = (queue.left + 1).min(DEPTH_MAX);
        } else if self.queue_count < QUEUES_MAX {
            let slot = machine.pool.level(level).head;
            if slot != NONE {
                P::prefetch(machine.pool.order(slot));
            }
            self.queues[self.queue_count] = Queue {
                level,
                slot,
                left: 2,
            };
            self.queue_count += 1;
        }
    }

    /// Each stage goes on with what the one before has brought.
    #[inline(never)]
    fn advance<P: Prefetch>(&mut self, machine: &StateMachine) {
        self.look_at_neighbours::<P>(machine);
        self.look_at_orders::<P>(machine);
        self.placed = core::mem::replace(&mut self.gathered, NO_KEYS);
        self.look_at_queues::<P>(machine);
    }

    /// Orders and details of the keys whose places are there now.
    fn look_at_orders<P: Prefetch>(&mut self, machine: &StateMachine) {
        self.found.count = 0;
        for &(owner, number) in &self.placed.keys[..self.placed.count] {
            let slot = machine.pool.likely_slot(owner, number);
            if slot == NONE {
                continue;
            }
            let detail = &machine.details[slot as usize];
            P::prefetch(machine.pool.order(slot));
            P::prefetch(&detail.reference);
            // Its other end may lie in the next line.
            P::prefetch(&detail.extension);
            self.found.slots[self.found.count] = (slot, (owner, number));
            self.found.count += 1;
        }
    }

    /// What hangs together with orders that are there now. Their slots may have been freed meanwhile.
    fn look_at_neighbours<P: Prefetch>(&mut self, machine: &StateMachine) {
        for &(slot, (owner, number)) in &self.found.slots[..self.found.count] {
            let (order, detail) = (machine.pool.order(slot), &machine.details[slot as usize]);
            if (order.owner, order.number) != (owner, number) {
                // Another's place: the key is a stray, or will be.
                let (line, strays) = machine.pool.likely_stray(owner, number);
                P::prefetch(line);
                P::prefetch(strays);
                continue;
            }
            for slot in [order.prev, order.next] {
                if slot != NONE {
                    P::prefetch(machine.pool.order(slot));
                }
            }
            for slot in [detail.prev, detail.next] {
                if slot != NONE {
                    P::prefetch(&machine.details[slot as usize]);
                }
            }
            if order.level != NONE {
                P::prefetch(machine.pool.level(order.level));
            }
        }
    }

    /// Each queue a step further: an order is found by the one before.
    fn look_at_queues<P: Prefetch>(&mut self, machine: &StateMachine) {
        let mut kept = 0;
        for at in 0..self.queue_count {
            let mut queue = self.queues[at];
            if queue.slot == NONE || queue.left == 0 {
                continue;
            }
            let order = machine.pool.order(queue.slot);
            let detail = &machine.details[queue.slot as usize];
            P::prefetch(machine.pool.likely_place(order.owner, order.number));
            P::prefetch(&detail.reference);
            P::prefetch(&detail.extension);
            queue.slot = order.next;
            queue.left -= 1;
            if queue.slot != NONE {
                P::prefetch(machine.pool.order(queue.slot));
            }
            self.queues[kept] = queue;
            kept += 1;
        }
        self.queue_count = kept;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Capacity;

    struct Nothing;

    impl Prefetch for Nothing {
        fn prefetch<T>(_: &T) {}
    }

    /// It is given bytes that nobody has verified: whatever they are, it looks and goes on.
    #[test]
    fn any_bytes_are_read_without_harm() {
        let machine = StateMachine::new(Capacity::default());
        let mut ahead = ReadAhead::default();
        let mut random = 7u64;
        for length in 0..600 {
            let mut bytes = [0u8; 600];
            for byte in &mut bytes[..length] {
                random = random.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
                *byte = (random >> 56) as u8;
            }
            // Short lengths and kinds that mean something, now and then.
            for at in (0..length.saturating_sub(32)).step_by(48) {
                bytes[at..at + 4].copy_from_slice(&[48, 0, 0, 0]);
                bytes[at + 4..at + 6].copy_from_slice(&[16 + (at / 48 % 4) as u8, 0]);
            }
            ahead.records::<Nothing>(&machine, &bytes[..length]);
        }
    }
}
