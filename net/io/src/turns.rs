//! Who may bring how much in a duty cycle, so that a connection that sends at line rate does not make others
//! wait: a rule for both drivers.
//!
//! ```text
//! light   brings little, measured over duty cycles, and emptied its socket: it asks, and waits for the answer
//! heavy   brings much, measured alike, and its last receive left bytes in the socket
//! ```
//! While a light connection speaks, heavy ones make way: their turns are short (`short_turn_bytes`), and in a duty
//! cycle there are as many of them as others spoke in the last one, and one more, in the order of their waiting.
//! What a light connection waits for is then the rest of one such cycle and its own, however many are heavy. When
//! no light one speaks, turns are whole: those are cheaper by the byte.
//!
//! Equals stay equals: a connection that falls behind while others like it do not gets a turn in every cycle, and
//! who was light and brings much now is made way for no longer.
//! It must never keep a connection waiting for ever, nor look at a clock.

use std::collections::VecDeque;

/// What a light connection may bring in a duty cycle in which anybody brought anything, in the mean: a little
/// more than one request.
const LIGHT_BYTES_PER_CYCLE: i64 = 64;
/// … and what it may have saved up: a burst of some twenty requests.
const SAVED_BYTES_MAX: i64 = 1_024;
/// Nobody is held to more than this, so that who once brought much can become light.
const OWED_BYTES_MAX: i64 = 8_192;
/// Who owes so much is heavy, if it has more to bring.
const HEAVY_BYTES: i64 = 4_096;
/// A shorter receive is a sign of life and asks for nothing.
const SPEAKING_BYTES_MIN: usize = 9;
/// Turns of heavy connections that are short after a light one spoke: some 50 ms.
const SHORT_TURNS: u32 = 4_096;

/// What a connection that has bytes may do.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) enum Turn {
    Whole,
    Short,
    /// Not in this cycle; `next` names it when it is.
    Later,
}

#[derive(Copy, Clone, Default, Debug)]
struct Habit {
    /// Bytes that it may bring and be light; what it brought beyond is negative.
    saved: i64,
    /// Cycle in which `saved` was counted last.
    counted: u64,
    busy: bool,
    /// In `waiting`.
    waits: bool,
}

/// The habits of a driver's connections, by slot. A slot's next connection inherits them until its first
/// receives: at worst one turn is short.
#[derive(Debug)]
pub(crate) struct Turns {
    habits: Box<[Habit]>,
    /// Heavy connections that wait for their turn, longest first.
    waiting: VecDeque<u32>,
    /// Cycles in which something was received.
    cycle: u64,
    received: bool,
    /// Short turns that may still be given in this cycle.
    turns_left: u32,
    /// Connections that emptied their sockets in this cycle.
    spoke: u32,
    short_turns_left: u32,
    /// The light connection that spoke last.
    light: u32,
}

impl Turns {
    pub(crate) fn new(connections_max: u32) -> Self {
        let count = connections_max as usize;
        Self {
            habits: vec![Habit::default(); count].into_boxed_slice(),
            waiting: VecDeque::with_capacity(count),
            cycle: 0,
            received: false,
            turns_left: 1,
            spoke: 0,
            short_turns_left: 0,
            light: u32::MAX,
        }
    }

    /// A receive brought `count` bytes; `emptied`: the socket has no more.
    #[inline]
    pub(crate) fn received(&mut self, index: u32, count: usize, emptied: bool) {
        self.received = true;
        let habit = &mut self.habits[index as usize];
        habit.busy = !emptied;
        // Bounded before it is multiplied: a connection may be silent for a very long time.
        let cycles = (self.cycle - habit.counted).min(1 << 20) as i64;
        let saved = habit.saved + cycles * LIGHT_BYTES_PER_CYCLE;
        let left = saved.min(SAVED_BYTES_MAX) - count.min(1 << 20) as i64;
        habit.saved = left.max(-OWED_BYTES_MAX);
        habit.counted = self.cycle;
        if emptied && count >= SPEAKING_BYTES_MIN {
            self.spoke += 1;
            if left >= 0 {
                self.light = index;
                self.short_turns_left = SHORT_TURNS;
            }
        }
        // It was light and is no more: nobody makes way for an equal.
        if left < 0 && self.light == index {
            self.short_turns_left = 0;
        }
    }

    /// A new duty cycle.
    #[inline]
    pub(crate) fn begin_cycle(&mut self) {
        self.turns_left = 1 + std::mem::take(&mut self.spoke);
        self.cycle += u64::from(std::mem::take(&mut self.received));
    }

    /// What the connection may do now. `Short` uses one of the cycle's turns: only ask for a connection that will
    /// use it.
    #[inline]
    pub(crate) fn ask(&mut self, index: u32) -> Turn {
        let habit = &mut self.habits[index as usize];
        let heavy = habit.busy && habit.saved <= -HEAVY_BYTES;
        if self.short_turns_left == 0 || !heavy || self.light == index {
            return Turn::Whole;
        }
        if self.turns_left == 0 {
            if !habit.waits {
                habit.waits = true;
                self.waiting.push_back(index);
            }
            return Turn::Later;
        }
        self.turns_left -= 1;
        self.short_turns_left -= 1;
        Turn::Short
    }

    /// A connection whose waiting is over: ask for it, if it still wants to receive.
    #[inline]
    pub(crate) fn next(&mut self) -> Option<u32> {
        if self.turns_left == 0 && self.short_turns_left > 0 {
            return None;
        }
        let index = self.waiting.pop_front()?;
        self.habits[index as usize].waits = false;
        Some(index)
    }

    /// Somebody waits.
    #[inline]
    pub(crate) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIGHT: u32 = 0;

    /// Connection 0 is light, the others heavy.
    fn crowd(heavy: u32) -> Turns {
        let mut turns = Turns::new(heavy + 1);
        for index in 1..=heavy {
            turns.received(index, 2048, false);
            turns.received(index, 2048, false);
        }
        turns.begin_cycle();
        turns.received(LIGHT, 52, true);
        turns
    }

    /// One duty cycle in which every connection of `asking` has bytes; returns who had which turn.
    fn cycle(turns: &mut Turns, asking: impl Iterator<Item = u32>) -> Vec<(u32, Turn)> {
        let mut given = Vec::new();
        turns.begin_cycle();
        while let Some(index) = turns.next() {
            given.push((index, turns.ask(index)));
        }
        given.extend(asking.map(|index| (index, turns.ask(index))));
        given.retain(|(_, turn)| *turn != Turn::Later);
        for (index, turn) in &given {
            if *turn == Turn::Short {
                turns.received(*index, 512, false);
            }
        }
        given
    }

    #[test]
    fn without_a_light_connection_turns_are_whole() {
        let mut turns = Turns::new(4);
        for index in 0..4 {
            turns.received(index, 2048, false);
            turns.received(index, 2048, false);
        }
        let given = cycle(&mut turns, 0..4);
        assert!(given.iter().all(|(_, turn)| *turn == Turn::Whole) && given.len() == 4);
    }

    /// However many are heavy, a cycle in which nobody else spoke holds one short turn, and each has its own in
    /// order.
    #[test]
    fn heavy_connections_share_the_short_turns_of_a_cycle() {
        let mut turns = crowd(3);
        // The light one has spoken: a turn for it and one more.
        let given = cycle(&mut turns, 1..4);
        assert_eq!(given, [(1, Turn::Short), (2, Turn::Short)]);
        let mut order = Vec::new();
        for _ in 0..6 {
            // Whoever had its turn has bytes again and asks again behind the others.
            let given = cycle(&mut turns, 1..4);
            assert_eq!(given.len(), 1, "{given:?}");
            order.extend(given.iter().map(|(index, _)| *index));
        }
        assert_eq!(order, [3, 1, 2, 3, 1, 2]);
    }

    #[test]
    fn a_light_connection_that_falls_silent_is_forgotten_and_nobody_waits_for_ever() {
        let mut turns = crowd(2);
        turns.spoke = 0;
        let mut cycles = 0;
        while cycle(&mut turns, 1..3)
            .iter()
            .all(|(_, turn)| *turn == Turn::Short)
        {
            cycles += 1;
            assert!(cycles <= SHORT_TURNS);
        }
        assert_eq!(cycles, SHORT_TURNS - 1, "the last one releases who waits");
        let given = cycle(&mut turns, 1..3);
        assert!(given.len() == 2 && !turns.has_waiting(), "{given:?}");
    }

    #[test]
    fn signs_of_life_ask_for_nothing_and_nobody_makes_way_for_itself() {
        let mut turns = Turns::new(2);
        turns.received(1, 8192, false);
        for _ in 0..50 {
            turns.begin_cycle();
            turns.received(LIGHT, 3, true);
        }
        assert_eq!(turns.ask(1), Turn::Whole, "heartbeats ask for nothing");
        turns.begin_cycle();
        turns.received(LIGHT, 500, true);
        assert_eq!(
            turns.ask(1),
            Turn::Short,
            "a burst after a silence is light"
        );
        turns.received(LIGHT, 50, false);
        turns.begin_cycle();
        assert_eq!(turns.ask(LIGHT), Turn::Whole, "nobody makes way for itself");
    }

    /// The story: eight sessions at the same rate, half of what could be sustained. All fell behind for some
    /// milliseconds; the first that had caught up counted as light, and the other seven made way for it with short
    /// turns, fewer than their bytes needed, for 50 to 130 ms.
    #[test]
    fn nobody_makes_way_for_who_brings_as_much() {
        let mut turns = crowd(7);
        assert_eq!(turns.ask(1), Turn::Short);
        let mut cycles = 0;
        while turns.ask(1) != Turn::Whole {
            turns.begin_cycle();
            turns.received(LIGHT, 330, true);
            cycles += 1;
            assert!(cycles < 10, "one that has become heavy is made way for");
        }
        for _ in 0..1_000 {
            turns.begin_cycle();
            turns.received(LIGHT, 330, true);
            for index in 1..=7 {
                assert_eq!(turns.ask(index), Turn::Whole);
                turns.received(index, 2048, false);
            }
        }
    }

    /// The story: eight sessions that pipelined alike; whoever's bytes happened to come in small pieces was taken for
    /// light, and the others waited for 10 ms.
    #[test]
    fn equals_stay_equals() {
        let mut turns = Turns::new(3);
        // Two that bring little and one of their kind that has fallen behind.
        for _ in 0..1_000 {
            turns.begin_cycle();
            turns.received(0, 50, true);
            turns.received(1, 50, true);
            turns.received(2, 60, false);
            assert_eq!(turns.ask(2), Turn::Whole, "it is not heavy");
        }
        // Three that all bring much: nobody is light, however small the pieces.
        let mut turns = Turns::new(3);
        for _ in 0..1_000 {
            turns.begin_cycle();
            turns.received(0, 250, true);
            turns.received(1, 250, true);
            turns.received(2, 2048, false);
            assert_eq!(turns.ask(2), Turn::Whole);
        }
        // Even beside a light one, whoever falls behind has a turn in every cycle in which its equals spoke.
        let mut turns = Turns::new(4);
        for round in 0..1_000 {
            turns.begin_cycle();
            assert!(turns.next().is_none(), "nobody waits");
            turns.received(0, 50, true);
            turns.received(1, 250, true);
            turns.begin_cycle();
            turns.received(2, 512, false);
            turns.received(3, 512, false);
            for index in 2..4 {
                let expected = if round < 10 { Turn::Whole } else { Turn::Short };
                let given = turns.ask(index);
                assert!(given == expected || round < 20, "{round} {given:?}");
            }
        }
    }
}
