//! The sequencer: merges the rings of gateways and operator into one order and closes batches.
//!
//! Batches come from draining, never from waiting: a batch is closed when input runs out or a bound is
//! met. The merge is round robin, a bounded number of records a turn, so that no ring starves another.
//! `Sequencer` is a plain state machine over [`BatchLog`]; `SequencerAgent` is its shell.

use crate::agent::{Agent, Now};
use crate::clock::{BatchClock, WallClock};
use crate::counters::{Counter, CounterId, Counters};
use crate::fatal::{ExitCode, Fatal};
use crate::ring::Consumer;
use crate::status::{Applied, Status};
use lockstep_record::batch::BatchKind;
use lockstep_record::{LogIndex, Record, Sequence, Term, Timestamp};
use std::sync::Arc;

/// Records taken from one ring before the next has its turn.
const TURN_RECORDS: u32 = 32;

/// What the sequencer says of a batch when it closes it.
#[derive(Clone, Copy, Debug)]
pub struct BatchSeal {
    pub kind: BatchKind,
    pub term: Term,
    pub index: LogIndex,
    pub first_sequence: Sequence,
    pub timestamp: Timestamp,
    pub commit_index: LogIndex,
    pub applied: Applied,
    pub feature_set_version: u64,
}

/// The head of the log; the log buffer's appender implements it.
pub trait BatchLog: Send {
    /// Opens a batch of up to `body_max` bytes; false while the log buffer is full.
    fn begin(&mut self, body_max: usize) -> bool;
    /// Copies a record behind the last one; false if the batch has no room for it.
    fn push(&mut self, record: &[u8]) -> bool;
    /// Publishes the open batch.
    fn seal(&mut self, seal: &BatchSeal);
    /// Drops the open batch.
    fn erase(&mut self);
}

/// Where the log goes on.
#[derive(Clone, Copy, Debug)]
pub struct LogTail {
    pub term: Term,
    pub next_index: LogIndex,
    pub next_sequence: Sequence,
}

#[derive(Clone, Copy, Debug)]
pub struct BatchBounds {
    pub records_max: u32,
    pub bytes_max: usize,
}

#[derive(Debug)]
struct SequencerCounters {
    batches: Counter,
    records: Counter,
    log_full: Counter,
    malformed: Counter,
    leaps: Counter,
}

#[derive(Debug)]
pub struct Sequencer<L, C> {
    log: L,
    clock: BatchClock<C>,
    inputs: Vec<Consumer>,
    turn: usize,
    tail: LogTail,
    bounds: BatchBounds,
    status: Arc<Status>,
    stopped: bool,
    counters: SequencerCounters,
}

impl<L: BatchLog, C: WallClock> Sequencer<L, C> {
    pub fn new(
        log: L,
        clock: BatchClock<C>,
        inputs: Vec<Consumer>,
        tail: LogTail,
        bounds: BatchBounds,
        status: Arc<Status>,
        counters: &Counters,
    ) -> Self {
        Self {
            log,
            clock,
            inputs,
            turn: 0,
            tail,
            bounds,
            status,
            stopped: false,
            counters: SequencerCounters {
                batches: counters.counter(CounterId::Batches),
                records: counters.counter(CounterId::Records),
                log_full: counters.counter(CounterId::LogBufferFull),
                malformed: counters.counter(CounterId::RecordsMalformed),
                leaps: counters.counter(CounterId::ClockLeaps),
            },
        }
    }

    /// One duty cycle: at most one batch. Returns the records put in order.
    pub fn do_work(&mut self, now: Now) -> Result<usize, Fatal> {
        let deadline_due = self.deadline_is_due();
        if !deadline_due && !self.has_input() {
            return Ok(0);
        }
        if !self.log.begin(self.bounds.bytes_max) {
            self.counters.log_full.add(1);
            return Ok(0);
        }
        let records = self.drain_inputs();
        if records == 0 && !deadline_due {
            self.log.erase();
        } else {
            self.seal(BatchKind::Commands, records, now)?;
        }
        // The space in the rings is given back only now that the log has the bytes.
        for input in &mut self.inputs {
            input.publish();
        }
        Ok(records as usize + usize::from(deadline_due))
    }

    /// Seals an empty batch of a kind that carries no records; false while the log buffer is full.
    pub fn seal_empty(&mut self, kind: BatchKind, now: Now) -> Result<bool, Fatal> {
        if !self.log.begin(0) {
            return Ok(false);
        }
        self.seal(kind, 0, now)?;
        Ok(true)
    }

    fn has_input(&mut self) -> bool {
        self.inputs.iter_mut().any(|input| input.peek().is_some())
    }

    /// An idle leader emits an empty batch when the state machine's next deadline is due.
    fn deadline_is_due(&self) -> bool {
        self.status
            .next_deadline()
            .is_some_and(|at| self.clock.wall() >= at)
    }

    fn drain_inputs(&mut self) -> u32 {
        let mut records = 0;
        let mut idle_inputs = 0;
        while idle_inputs < self.inputs.len() {
            let input = &mut self.inputs[self.turn];
            let mut turn_records = 0;
            while turn_records < TURN_RECORDS {
                if records == self.bounds.records_max {
                    return records;
                }
                let Some(frame) = input.peek() else { break };
                // A ring may be written by another process: nothing unchecked enters the log.
                match Record::parse(frame.payload) {
                    Ok((_, [])) => {
                        if !self.log.push(frame.payload) {
                            return records;
                        }
                        records += 1;
                        turn_records += 1;
                    }
                    Ok(_) | Err(_) => self.counters.malformed.add(1),
                }
                input.advance();
            }
            idle_inputs = if turn_records == 0 {
                idle_inputs + 1
            } else {
                0
            };
            self.turn = (self.turn + 1) % self.inputs.len();
        }
        records
    }

    fn seal(&mut self, kind: BatchKind, records: u32, now: Now) -> Result<(), Fatal> {
        let timestamp = self.clock.stamp(now.monotonic_ns).map_err(|leap| {
            self.counters.leaps.add(1);
            let what = format!(
                "the wall clock leapt by {} ms against the monotonic clock; mend time \
                 synchronisation and start again",
                leap.by_ns / 1_000_000
            );
            Fatal::new(ExitCode::Clock, what)
        })?;
        self.log.seal(&BatchSeal {
            kind,
            term: self.tail.term,
            index: self.tail.next_index,
            first_sequence: self.tail.next_sequence,
            timestamp,
            commit_index: self.status.commit_index(),
            applied: self.status.applied(),
            feature_set_version: 0,
        });
        self.tail.next_index.0 += 1;
        self.tail.next_sequence.0 += u64::from(records);
        self.counters.batches.add(1);
        self.counters.records.add(u64::from(records));
        Ok(())
    }
}

/// Runs a sequencer: term start first, clean stop last.
#[derive(Debug)]
pub struct SequencerAgent<L, C> {
    sequencer: Sequencer<L, C>,
    started: bool,
}

impl<L: BatchLog, C: WallClock> SequencerAgent<L, C> {
    pub fn new(sequencer: Sequencer<L, C>) -> Self {
        Self {
            sequencer,
            started: false,
        }
    }
}

impl<L: BatchLog, C: WallClock> Agent for SequencerAgent<L, C> {
    fn name(&self) -> &'static str {
        "sequencer"
    }

    fn do_work(&mut self, now: Now) -> Result<usize, Fatal> {
        if !self.started {
            self.started = self.sequencer.seal_empty(BatchKind::TermStart, now)?;
            return Ok(1);
        }
        self.sequencer.do_work(now)
    }

    fn on_stop(&mut self, now: Now) -> Result<bool, Fatal> {
        if self.sequencer.stopped {
            return Ok(true);
        }
        if self.sequencer.has_input() {
            return Ok(false);
        }
        self.sequencer.stopped = self.sequencer.seal_empty(BatchKind::CleanStop, now)?;
        Ok(self.sequencer.stopped)
    }

    fn awaits(&self) -> String {
        "room in the log buffer for what was accepted and for the clean stop".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::{self, Producer};
    use lockstep_record::command::CancelOrder;
    use lockstep_record::{RecordWriter, SessionId, Source};
    use std::sync::Mutex;

    #[derive(Default, Debug)]
    struct Shared {
        full: bool,
        open: Vec<u32>,
        room: usize,
        /// Sessions of the records of each sealed batch, and its seal.
        sealed: Vec<(Vec<u32>, BatchSeal)>,
    }

    #[derive(Debug)]
    struct FakeLog(Arc<Mutex<Shared>>);

    impl BatchLog for FakeLog {
        fn begin(&mut self, body_max: usize) -> bool {
            let mut shared = self.0.lock().unwrap();
            shared.room = body_max;
            !shared.full
        }
        fn push(&mut self, record: &[u8]) -> bool {
            let mut shared = self.0.lock().unwrap();
            if record.len() > shared.room {
                return false;
            }
            shared.room -= record.len();
            let session = Record::parse(record).unwrap().0.header().source.session.0;
            shared.open.push(session);
            true
        }
        fn seal(&mut self, seal: &BatchSeal) {
            let mut shared = self.0.lock().unwrap();
            let records = std::mem::take(&mut shared.open);
            shared.sealed.push((records, *seal));
        }
        fn erase(&mut self) {
            assert!(
                self.0.lock().unwrap().open.is_empty(),
                "sequenced records are never erased"
            );
        }
    }

    #[derive(Debug)]
    struct FixedClock;
    impl WallClock for FixedClock {
        fn now_ns(&self) -> u64 {
            1_000
        }
    }

    struct Bed {
        sequencer: Sequencer<FakeLog, FixedClock>,
        rings: Vec<Producer>,
        shared: Arc<Mutex<Shared>>,
        status: Arc<Status>,
        _folder: tempfile::TempDir,
    }

    fn bed(rings: usize, bounds: BatchBounds) -> Bed {
        let folder = tempfile::tempdir().unwrap();
        let counters = Counters::create(&folder.path().join("c")).unwrap();
        let (producers, consumers): (Vec<_>, Vec<_>) = (0..rings)
            .map(|_| {
                let (p, mut c) = ring::create(64 << 10, 1).unwrap();
                (p, c.pop().unwrap())
            })
            .unzip();
        let shared = Arc::new(Mutex::new(Shared::default()));
        let status = Arc::new(Status::new(Applied::default(), LogIndex(0)));
        let tail = LogTail {
            term: Term(2),
            next_index: LogIndex(5),
            next_sequence: Sequence(100),
        };
        let sequencer = Sequencer::new(
            FakeLog(Arc::clone(&shared)),
            BatchClock::new(FixedClock, Timestamp(7)),
            consumers,
            tail,
            bounds,
            Arc::clone(&status),
            &counters,
        );
        Bed {
            sequencer,
            rings: producers,
            shared,
            status,
            _folder: folder,
        }
    }

    const WIDE: BatchBounds = BatchBounds {
        records_max: 1000,
        bytes_max: 60_000,
    };
    const NOW: Now = Now { monotonic_ns: 0 };

    fn push(ring: &mut Producer, session: u32, count: usize) {
        for _ in 0..count {
            let source = Source {
                session: SessionId(session),
                ..Source::default()
            };
            let space = ring.claim(64).unwrap();
            let body = CancelOrder {
                user_ref_num: 1,
                quantity: 0,
            };
            let length = RecordWriter::new(space, source, &body).finish();
            ring.commit(0, length);
        }
    }

    #[test]
    fn rings_take_turns_and_numbers_continue() {
        let mut bed = bed(2, WIDE);
        push(&mut bed.rings[0], 1, 100);
        push(&mut bed.rings[1], 2, 40);
        assert_eq!(bed.sequencer.do_work(NOW).unwrap(), 140);
        assert_eq!(
            bed.sequencer.do_work(NOW).unwrap(),
            0,
            "an idle sequencer seals nothing"
        );
        push(&mut bed.rings[1], 2, 1);
        bed.sequencer.do_work(NOW).unwrap();
        let shared = bed.shared.lock().unwrap();
        let (records, seal) = &shared.sealed[0];
        assert_eq!(records.len(), 140);
        let turn = TURN_RECORDS as usize;
        assert!(
            records[..turn].iter().all(|s| *s == 1),
            "a turn of the first ring"
        );
        assert!(
            records[turn..2 * turn].iter().all(|s| *s == 2),
            "then one of the second"
        );
        assert_eq!(
            (seal.index.0, seal.first_sequence.0, seal.term.0),
            (5, 100, 2)
        );
        let (_, seal) = &shared.sealed[1];
        assert_eq!((seal.index.0, seal.first_sequence.0), (6, 240));
        assert!(shared.sealed[0].1.timestamp < seal.timestamp);
    }

    #[test]
    fn a_batch_closes_at_its_bounds_and_the_rest_follows() {
        let mut bed = bed(
            1,
            BatchBounds {
                records_max: 10,
                bytes_max: 60_000,
            },
        );
        push(&mut bed.rings[0], 1, 25);
        for expected in [10, 10, 5, 0] {
            assert_eq!(bed.sequencer.do_work(NOW).unwrap(), expected);
        }
        let mut bed = self::bed(
            1,
            BatchBounds {
                records_max: 1000,
                bytes_max: 100,
            },
        );
        push(&mut bed.rings[0], 1, 7);
        for expected in [3, 3, 1] {
            assert_eq!(
                bed.sequencer.do_work(NOW).unwrap(),
                expected,
                "3 records of 32 bytes fit 100"
            );
        }
    }

    #[test]
    fn a_full_log_keeps_the_input_where_it_is() {
        let mut bed = bed(1, WIDE);
        push(&mut bed.rings[0], 1, 3);
        bed.shared.lock().unwrap().full = true;
        assert_eq!(bed.sequencer.do_work(NOW).unwrap(), 0);
        bed.shared.lock().unwrap().full = false;
        assert_eq!(bed.sequencer.do_work(NOW).unwrap(), 3);
    }

    #[test]
    fn what_is_no_record_never_enters_the_log() {
        let mut bed = bed(1, WIDE);
        assert!(bed.rings[0].push(0, b"garbage!garbage!garbage!garbage!"));
        push(&mut bed.rings[0], 1, 1);
        assert_eq!(bed.sequencer.do_work(NOW).unwrap(), 1);
        assert_eq!(bed.sequencer.counters.malformed.get(), 1);
        assert!(bed.rings[0].push(0, b"garbage!garbage!garbage!garbage!"));
        assert_eq!(bed.sequencer.do_work(NOW).unwrap(), 0);
        assert!(
            !bed.sequencer.has_input(),
            "garbage alone is stepped over too"
        );
        assert_eq!(bed.shared.lock().unwrap().sealed.len(), 1);
    }

    /// An idle leader's empty batch makes the state machine's deadlines fire.
    #[test]
    fn a_due_deadline_seals_an_empty_batch() {
        let mut bed = bed(1, WIDE);
        let set = |at| {
            bed.status
                .set_applied(Applied::default(), Sequence(0), Some(Timestamp(at)))
        };
        set(2_000);
        assert_eq!(bed.sequencer.do_work(NOW).unwrap(), 0);
        set(999);
        assert_eq!(bed.sequencer.do_work(NOW).unwrap(), 1);
        let shared = bed.shared.lock().unwrap();
        assert!(shared.sealed[0].0.is_empty());
        assert_eq!(shared.sealed[0].1.first_sequence.0, 100);
    }
}
