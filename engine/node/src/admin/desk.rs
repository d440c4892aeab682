//! Where the engine and the operator's thread meet: questions about the state, and the fates of records.
//!
//! A question is a bounded look at the state machine, at most one a duty cycle, between two batches; while
//! nobody asks it costs the engine one load. The fates come through a ring of their own. Neither can hold
//! the engine up: it never waits for the lock and never for room.

use crate::egress::{read_control, write_control};
use crate::ring::{Consumer, Producer};
use lockstep_core::StateMachine;
use lockstep_record::Sequence;
use lockstep_record::event::{Control, Refusal};
use std::any::Any;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Entries that one question may bring: bounds the time the engine spends on it.
pub const PAGE_ENTRIES: usize = 32;
/// Ids that one question may pass over without bringing anything.
pub const PAGE_SCAN: u32 = 256;
/// A question that the engine has not answered by then is withdrawn.
const ANSWER_PATIENCE: Duration = Duration::from_secs(2);
/// Bytes of the ring of fates; holds those of every record that may be in flight.
const FATES_BYTES: usize = 64 << 10;

/// A question with room for its answer.
trait Question: Send {
    fn look(&mut self, machine: &StateMachine);
    fn into_any(self: Box<Self>) -> Box<dyn Any + Send>;
}

struct Asked<R, F> {
    answer: R,
    look: F,
}

impl<R: Send + 'static, F: FnMut(&StateMachine, &mut R) + Send + 'static> Question for Asked<R, F> {
    fn look(&mut self, machine: &StateMachine) {
        (self.look)(machine, &mut self.answer);
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        Box::new(self.answer)
    }
}

/// One question at a time, from the operator's thread to the engine and back.
#[derive(Default)]
pub struct Inquiries {
    asked: AtomicBool,
    question: Mutex<Option<Box<dyn Question>>>,
    answered: AtomicU64,
}

impl std::fmt::Debug for Inquiries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inquiries")
            .field("asked", &self.asked)
            .finish_non_exhaustive()
    }
}

impl Inquiries {
    /// Engine only: answers the question that waits, if one does. Returns how many it answered.
    #[inline(always)]
    pub fn answer(&self, machine: &StateMachine) -> usize {
        if self.asked.load(Ordering::Acquire) {
            self.answer_one(machine)
        } else {
            0
        }
    }

    #[cold]
    fn answer_one(&self, machine: &StateMachine) -> usize {
        // Held by the asker only while he withdraws the question.
        let Ok(mut question) = self.question.try_lock() else {
            return 0;
        };
        if let Some(question) = question.as_mut() {
            question.look(machine);
        }
        self.answered.fetch_add(1, Ordering::Relaxed);
        // Under the lock: a late store could otherwise take the next question's flag.
        self.asked.store(false, Ordering::Release);
        1
    }

    /// Questions answered so far.
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Has the engine look, and returns the answer; `None` if it does not come to it in time.
    ///
    /// `look` runs on the engine's thread between two batches: it must be short, bounded by
    /// [`PAGE_ENTRIES`] and [`PAGE_SCAN`], must not panic, and fills `answer` within its capacity.
    pub fn ask<R: Send + 'static>(
        &self,
        answer: R,
        look: impl FnMut(&StateMachine, &mut R) + Send + 'static,
    ) -> Option<R> {
        self.place(Some(Box::new(Asked { answer, look })));
        self.asked.store(true, Ordering::Release);
        let until = Instant::now() + ANSWER_PATIENCE;
        while self.asked.load(Ordering::Acquire) && Instant::now() < until {
            std::thread::sleep(Duration::from_micros(20));
        }
        let question = self.place(None)?;
        // Withdrawn or answered: the engine has let go of it, since it looks under the lock.
        let was_answered = !self.asked.swap(false, Ordering::AcqRel);
        let answer = question.into_any().downcast::<R>().ok()?;
        was_answered.then_some(*answer)
    }

    fn place(&self, question: Option<Box<dyn Question>>) -> Option<Box<dyn Question>> {
        let mut slot = self.question.lock().unwrap_or_else(|e| e.into_inner());
        std::mem::replace(&mut *slot, question)
    }
}

/// What became of an operator's record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fate {
    pub request: u64,
    pub sequence: Sequence,
    pub refusal: Option<Refusal>,
}

/// The engine's end of the ring of fates.
#[derive(Debug)]
pub struct FateSender {
    ring: Producer,
    lost: u64,
}

impl FateSender {
    /// Says what became of a record. Full: whoever asked has long given up; it is dropped and counted.
    pub fn send(&mut self, control: &Control) {
        if !self.ring.push(0, &write_control(control)) {
            self.lost += 1;
        }
    }
}

/// The operator's end.
#[derive(Debug)]
pub struct FateReceiver {
    ring: Consumer,
}

impl FateReceiver {
    pub fn next_fate(&mut self) -> Option<Fate> {
        let frame = self.ring.peek()?;
        let control = read_control(frame.payload);
        self.ring.advance();
        self.ring.publish();
        match control {
            Some(Control::OperatorAnswered {
                request,
                sequence,
                refusal,
            }) => Some(Fate {
                request,
                sequence,
                refusal,
            }),
            _ => unreachable!("the engine sends nothing else here"),
        }
    }
}

/// The ring of fates and the place for questions.
pub fn create() -> std::io::Result<(FateSender, FateReceiver, Arc<Inquiries>)> {
    let (ring, mut consumers) = crate::ring::create(FATES_BYTES, 1)?;
    let receiver = FateReceiver {
        ring: consumers.remove(0),
    };
    let sender = FateSender { ring, lost: 0 };
    Ok((sender, receiver, Arc::default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockstep_core::Capacity;

    #[test]
    fn a_question_is_answered_once_and_only_when_the_engine_looks() {
        let inquiries = Arc::new(Inquiries::default());
        let machine = StateMachine::new(Capacity::default());
        assert_eq!(inquiries.answer(&machine), 0, "nobody asked");
        let asker = {
            let inquiries = Arc::clone(&inquiries);
            std::thread::spawn(move || {
                inquiries.ask(Vec::with_capacity(1), |machine, answer| {
                    answer.push(machine.last_sequence().0);
                })
            })
        };
        while inquiries.answer(&machine) == 0 {
            std::thread::yield_now();
        }
        assert_eq!(asker.join().unwrap(), Some(vec![0]));
        assert_eq!(inquiries.answer(&machine), 0);
        assert_eq!(inquiries.answered(), 1);
    }

    /// An engine that stands still must not hang the operator's thread, and must not meet the question
    /// when it comes back.
    #[test]
    fn a_question_that_nobody_answers_is_withdrawn() {
        let inquiries = Inquiries::default();
        assert_eq!(inquiries.ask(0u32, |_, answer| *answer = 1), None);
        let machine = StateMachine::new(Capacity::default());
        assert_eq!(inquiries.answer(&machine), 0);
    }

    #[test]
    fn fates_come_in_order_and_a_full_ring_never_holds_the_engine_up() {
        let (mut sender, mut receiver, _) = create().unwrap();
        let fate = |request| Fate {
            request,
            sequence: Sequence(request + 10),
            refusal: (request % 2 == 1).then_some(Refusal::NoDay),
        };
        let send = |sender: &mut FateSender, request| {
            let Fate {
                request,
                sequence,
                refusal,
            } = fate(request);
            sender.send(&Control::OperatorAnswered {
                request,
                sequence,
                refusal,
            });
        };
        for request in 1..=3 {
            send(&mut sender, request);
        }
        for request in 1..=3 {
            assert_eq!(receiver.next_fate(), Some(fate(request)));
        }
        assert_eq!(receiver.next_fate(), None);
        for request in 1..=10_000 {
            send(&mut sender, request);
        }
        assert!(sender.lost > 0);
        let received = std::iter::from_fn(|| receiver.next_fate()).count() as u64;
        assert_eq!(received + sender.lost, 10_000);
    }
}
