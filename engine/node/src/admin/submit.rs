//! Puts an operator's records in order and learns what became of each.

use super::desk::{Fate, FateReceiver};
use crate::agent::Stop;
use crate::operator::{push_all, signed};
use crate::ring::Producer;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Records in flight at once; their fates fit the ring that brings them many times over.
const IN_FLIGHT_MAX: usize = 64;
/// A record whose fate is not known by then is reported as such.
const FATE_PATIENCE: Duration = Duration::from_secs(5);

/// The operator's way into the log.
#[derive(Debug)]
pub struct Submitter {
    ring: Producer,
    fates: FateReceiver,
    stop: Arc<Stop>,
    last_request: u64,
}

impl Submitter {
    pub fn new(ring: Producer, fates: FateReceiver, stop: Arc<Stop>) -> Self {
        Self {
            ring,
            fates,
            stop,
            last_request: 0,
        }
    }

    /// Puts records in order that nobody waits for; false if the node stops first.
    pub fn push(&mut self, records: &[Vec<u8>]) -> bool {
        push_all(&mut self.ring, records, &self.stop)
    }

    /// Puts records in order under `identity` whose refusals [`Self::report_late`] says; false if the node stops
    /// first.
    pub fn push_watched(&mut self, records: &[Vec<u8>], identity: &str) -> bool {
        let mut all = true;
        for record in records {
            self.last_request += 1;
            let record = signed(record, identity, self.last_request);
            all = all && push_all(&mut self.ring, &[record], &self.stop);
            self.report_late();
        }
        all
    }

    /// Says which records were refused that nobody waits for.
    pub fn report_late(&mut self) {
        while let Some(fate) = self.fates.next_fate() {
            report(&fate);
        }
    }

    /// Puts records in order under `identity` and waits for the fate of each, in order; `None` where it
    /// did not come in time.
    pub fn submit(&mut self, records: &[Vec<u8>], identity: &str) -> Vec<(Vec<u8>, Option<Fate>)> {
        let first = self.last_request + 1;
        let mut sent: Vec<(Vec<u8>, Option<Fate>)> = Vec::with_capacity(records.len());
        let mut known = 0;
        let mut until = Instant::now() + FATE_PATIENCE;
        while known < records.len() {
            while sent.len() < records.len() && sent.len() - known < IN_FLIGHT_MAX {
                self.last_request += 1;
                let record = signed(&records[sent.len()], identity, self.last_request);
                if !self.ring.push(0, &record) {
                    self.last_request -= 1;
                    break;
                }
                sent.push((record, None));
            }
            match self.fates.next_fate() {
                // Of a record that nobody waits for (any more).
                Some(fate) if fate.request < first => report(&fate),
                Some(fate) => {
                    known = (fate.request - first) as usize + 1;
                    sent[known - 1].1 = Some(fate);
                    until = Instant::now() + FATE_PATIENCE;
                }
                None if Instant::now() >= until => break,
                None => std::thread::sleep(Duration::from_micros(50)),
            }
        }
        let unsent = records[sent.len()..].iter().map(|r| (r.clone(), None));
        sent.extend(unsent);
        sent
    }
}

/// A refusal would otherwise be seen in a counter only.
fn report(fate: &Fate) {
    if let Some(why) = fate.refusal {
        let sequence = fate.sequence.0;
        tracing::warn!(sequence, reason = why.text(), "a definition was refused");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::desk;
    use lockstep_record::command::DayClose;
    use lockstep_record::event::{Control, Refusal};
    use lockstep_record::{PartTag, Record, Sequence};

    /// More records than may be in flight: each gets its own fate, and the identity stands in each.
    #[test]
    fn each_record_gets_its_own_fate() {
        const RECORDS: usize = 200;
        let (ring, mut out) = crate::ring::create(64 << 10, 1).unwrap();
        let mut out = out.remove(0);
        let (mut sender, fates, _) = desk::create().unwrap();
        let engine = std::thread::spawn(move || {
            let mut sequence = 0;
            while sequence < RECORDS as u64 {
                let Some(frame) = out.peek() else {
                    out.publish();
                    std::thread::yield_now();
                    continue;
                };
                let (record, _) = Record::parse(frame.payload).unwrap();
                let find = |tag| record.parts().find(tag).unwrap();
                assert_eq!(find(PartTag::OPERATOR).value, b"uid 5");
                let request = find(PartTag::OPERATOR_REQUEST).u64().unwrap();
                sequence += 1;
                sender.send(&Control::OperatorAnswered {
                    request,
                    sequence: Sequence(sequence),
                    refusal: sequence.is_multiple_of(3).then_some(Refusal::NoDay),
                });
                out.advance();
            }
        });
        let mut submitter = Submitter::new(ring, fates, Arc::default());
        let record = crate::operator::record(&DayClose { _reserved: 0 }, &[], "somebody");
        let fates = submitter.submit(&vec![record; RECORDS], "uid 5");
        engine.join().unwrap();
        assert_eq!(fates.len(), RECORDS);
        for ((_, fate), sequence) in fates.iter().zip(1u64..) {
            let fate = fate.unwrap();
            assert_eq!(fate.sequence.0, sequence);
            assert_eq!(fate.refusal.is_some(), sequence.is_multiple_of(3));
        }
    }
}
