//! Reading ahead: in a replay the next records are known, and so is most of the memory that they will need.
//!
//! In a state that is larger than the caches, a cancel waits for the index, then for the order, then for its
//! neighbours. Here many records' lines are asked for at once, stage by stage, so that the waits overlap. It
//! looks and never changes anything, at bytes that nobody may have verified yet: nothing it reads decides
//! anything, and anything may be in it.

use crate::NONE;
use crate::machine::StateMachine;
use crate::session::owner;
use core::hint::black_box;
use lockstep_record::{Kind, RECORD_HEADER_LENGTH, SessionId, Side};

/// With fewer live orders the state is in the second-level cache, and reading ahead only costs.
const LIVE_ORDERS_MIN: u32 = 16 << 10;
/// Keys that are looked up together.
const KEYS_MAX: usize = 64;

/// Queues that coming aggressors would take from, looked at together, and how deep.
const QUEUES_MAX: usize = 16;
const DEPTH_MAX: u32 = 6;

/// Keys of orders that coming records are about, and levels that they would take from.
#[derive(Debug)]
pub struct ReadAhead {
    keys: [(u32, u32); KEYS_MAX],
    count: usize,
    /// Level, and how many aggressors come for it.
    queues: [(u32, u32); QUEUES_MAX],
    queue_count: usize,
}

impl Default for ReadAhead {
    fn default() -> Self {
        Self {
            keys: [(0, 0); KEYS_MAX],
            count: 0,
            queues: [(0, 0); QUEUES_MAX],
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
    pub fn records(&mut self, machine: &StateMachine, mut records: &[u8]) {
        while records.len() >= RECORD_HEADER_LENGTH {
            let length = u32_at(records, 0) as usize;
            let Some((record, rest)) = records.split_at_checked(length) else {
                return;
            };
            if length < RECORD_HEADER_LENGTH {
                return;
            }
            records = rest;
            self.record(machine, record);
        }
    }

    /// Only the first channel's numbers: options are rare.
    #[inline(always)]
    fn record(&mut self, machine: &StateMachine, record: &[u8]) {
        let body = RECORD_HEADER_LENGTH;
        let owner = owner(SessionId(u32_at(record, 8)), 0);
        let (first, second) = match Kind(u16_at(record, 4)) {
            Kind::ENTER_ORDER => {
                self.aggressor(machine, record);
                (16, None)
            }
            Kind::CANCEL_ORDER | Kind::MODIFY_ORDER => (0, None),
            Kind::REPLACE_ORDER => (8, Some(12)),
            _ => return,
        };
        self.key(machine, (owner, u32_at(record, body + first)));
        if let Some(second) = second {
            self.key(machine, (owner, u32_at(record, body + second)));
        }
    }

    #[inline(always)]
    fn key(&mut self, machine: &StateMachine, key: (u32, u32)) {
        self.keys[self.count] = key;
        self.count += 1;
        if self.count == KEYS_MAX {
            self.flush(machine);
        }
    }

    /// Notes the queue that an order would take from as the book is now.
    #[inline(always)]
    fn aggressor(&mut self, machine: &StateMachine, record: &[u8]) {
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
        let known = self.queues[..self.queue_count]
            .iter_mut()
            .find(|queue| queue.0 == level);
        if let Some(queue) = known {
            queue.1 += 1;
        } else if self.queue_count < QUEUES_MAX {
            self.queues[self.queue_count] = (level, 1);
            self.queue_count += 1;
        }
    }

    /// Asks for the lines of all keys and queues so far.
    pub fn flush(&mut self, machine: &StateMachine) {
        let mut seen = self.look_at_keys(machine);
        seen ^= self.look_at_queues(machine);
        black_box(seen);
    }

    fn look_at_keys(&mut self, machine: &StateMachine) -> u32 {
        let count = core::mem::take(&mut self.count);
        let mut slots = [NONE; KEYS_MAX];
        let (mut live, mut seen) = (0, 0);
        for &(owner, number) in &self.keys[..count] {
            let slot = machine.pool.likely_slot(owner, number);
            slots[live] = slot;
            live += usize::from(slot != NONE);
        }
        let mut links = [[NONE; 5]; KEYS_MAX];
        for (links, &slot) in links.iter_mut().zip(&slots[..live]) {
            let (order, detail) = (machine.pool.order(slot), &machine.details[slot as usize]);
            *links = [
                order.prev,
                order.next,
                order.level,
                detail.prev,
                detail.next,
            ];
            // Its other end may lie in the next line.
            seen ^= detail.extension;
        }
        for [before, behind, level, older, younger] in &links[..live] {
            for slot in [before, behind].into_iter().filter(|slot| **slot != NONE) {
                seen ^= machine.pool.order(*slot).open;
            }
            for slot in [older, younger].into_iter().filter(|slot| **slot != NONE) {
                seen ^= machine.details[*slot as usize].next;
            }
            if *level != NONE {
                seen ^= machine.pool.level(*level).head;
            }
        }
        seen
    }

    /// All queues a step further at a time: within one, each order is found by the one before.
    fn look_at_queues(&mut self, machine: &StateMachine) -> u32 {
        let count = core::mem::take(&mut self.queue_count);
        let queues = &self.queues[..count];
        let (mut slots, mut seen) = ([NONE; QUEUES_MAX], 0);
        for (slot, (level, _)) in slots.iter_mut().zip(queues) {
            *slot = machine.pool.level(*level).head;
        }
        for depth in 0..DEPTH_MAX {
            for (slot, (_, wanted)) in slots.iter_mut().zip(queues) {
                if *slot == NONE || depth > *wanted {
                    continue;
                }
                let (order, detail) = (machine.pool.order(*slot), &machine.details[*slot as usize]);
                seen ^= machine.pool.likely_slot(order.owner, order.number) ^ detail.extension;
                for slot in [detail.prev, detail.next]
                    .into_iter()
                    .filter(|slot| *slot != NONE)
                {
                    seen ^= machine.details[slot as usize].next;
                }
                *slot = order.next;
            }
        }
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Capacity;

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
            ahead.records(&machine, &bytes[..length]);
            ahead.flush(&machine);
        }
    }
}
