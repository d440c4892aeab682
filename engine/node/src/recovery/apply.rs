//! Replay of what the log holds behind the snapshot: one thread verifies, this one applies what it has passed.

use crate::fatal::Fatal;
use crate::journal::{open_fatal, read_fatal};
use crate::replay::Replayer;
use crate::stream::{StreamSink, StreamStore};
use lockstep_core::StateMachine;
use lockstep_journal::folder::JournalFolder;
use lockstep_journal::journal::{Journal, OpenError, StartOptions, VerifiedPosition};
use lockstep_journal::reader::{JournalReader, ReadOptions};
use lockstep_journal::storage::DirectStorage;
use lockstep_journal::{BatchView, LogPosition};
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

type Opened = Result<Journal<DirectStorage>, OpenError>;

pub(super) struct Replay<'a, T> {
    replayer: Replayer,
    sink: StreamSink<'a, T>,
    progress: Progress,
    report: fn(&str),
}

impl<'a, T: StreamStore> Replay<'a, T> {
    pub fn new(replayer: Replayer, streams: &'a mut T, report: fn(&str), begun: Instant) -> Self {
        Self {
            replayer,
            sink: StreamSink::new(streams),
            progress: Progress::new(begun, report),
            report,
        }
    }

    /// Starts the journal, and applies its batches while they are being verified.
    pub fn run(
        mut self,
        folder: JournalFolder<DirectStorage>,
        options: &StartOptions,
        snapshot_ms: u128,
    ) -> Result<(Journal<DirectStorage>, StateMachine), Fatal> {
        let verified = VerifiedPosition::new(options.from.position);
        let meta = *folder.meta();
        let read = ReadOptions {
            from: options.from,
            until: None,
            verify: false,
        };
        let mut reader = JournalReader::new(folder.storage().clone(), &meta, read);
        let opened = std::thread::scope(|scope| {
            let verify = scope.spawn(|| Journal::start(folder, options, Some(&verified)));
            // A fault of what is applied must not hide a fault that the other thread finds.
            let applied = self.apply_verified(&mut reader, &verified, &verify);
            let opened = match verify.join() {
                Ok(opened) => opened,
                Err(panic) => std::panic::resume_unwind(panic),
            };
            opened
                .map_err(|e| open_fatal(&e))
                .and_then(|journal| applied.map(|()| journal))
        });
        let journal = opened?;
        for finding in &journal.recovery.findings {
            (self.report)(&format!("recovery: {finding}"));
        }
        let mut rest = journal.reader(*reader.tail());
        while let Some(batch) = rest.next_batch().map_err(|e| read_fatal(&e))? {
            self.apply(&batch)?;
        }
        let machine = self.finish(snapshot_ms)?;
        Ok((journal, machine))
    }

    fn apply_verified(
        &mut self,
        reader: &mut JournalReader<DirectStorage>,
        verified: &VerifiedPosition,
        verify: &ScopedJoinHandle<'_, Opened>,
    ) -> Result<(), Fatal> {
        loop {
            // Asked first: what was verified before the end is seen below.
            let ended = verify.is_finished();
            let until = verified.get();
            self.apply_until(reader, until)?;
            if ended {
                return Ok(());
            }
            if verified.get() == until {
                std::thread::yield_now();
            }
        }
    }

    fn apply_until(
        &mut self,
        reader: &mut JournalReader<DirectStorage>,
        until: LogPosition,
    ) -> Result<(), Fatal> {
        while reader.tail().position < until {
            match reader.next_batch().map_err(|e| read_fatal(&e))? {
                Some(batch) => self.apply(&batch)?,
                // The journal's own reader will say what is wrong with it.
                None => break,
            }
        }
        Ok(())
    }

    fn apply(&mut self, batch: &BatchView<'_>) -> Result<(), Fatal> {
        self.replayer.apply(batch, &mut self.sink)?;
        if let Some(fatal) = self.sink.failure.take() {
            return Err(fatal);
        }
        self.progress
            .advance(self.replayer.batches, self.replayer.records);
        Ok(())
    }

    fn finish(mut self, snapshot_ms: u128) -> Result<StateMachine, Fatal> {
        self.sink.flush()?;
        let replayer = self.replayer;
        (self.report)(&format!(
            "recovered {} records in {} batches in {} ms (of them {snapshot_ms} ms until the snapshot was \
             loaded); {} digests compared",
            replayer.records,
            replayer.batches,
            self.progress.begun.elapsed().as_millis(),
            replayer.digests_compared
        ));
        Ok(replayer.machine)
    }
}

/// A line now and then on long recoveries.
struct Progress {
    begun: Instant,
    report: fn(&str),
    next: Duration,
}

impl Progress {
    const PERIOD: Duration = Duration::from_secs(2);

    fn new(begun: Instant, report: fn(&str)) -> Self {
        Self {
            begun,
            report,
            next: Self::PERIOD,
        }
    }

    fn advance(&mut self, batches: u64, records: u64) {
        // Looking at the clock costs less than a batch, but not nothing.
        if !batches.is_multiple_of(64) {
            return;
        }
        let elapsed = self.begun.elapsed();
        if elapsed >= self.next {
            self.next = elapsed + Self::PERIOD;
            (self.report)(&format!("replaying: {records} records so far"));
        }
    }
}
