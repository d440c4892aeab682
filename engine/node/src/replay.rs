//! Replay of a journal through the state machine: recovery, `journal replay`, tests.
//!
//! Every digest that the log carries is compared with the one computed here: a state machine that
//! disagrees with the log it wrote must not trade.

use crate::engine::{apply_fatal, batch_info};
use crate::fatal::{ExitCode, Fatal};
use lockstep_core::StateMachine;
use lockstep_journal::{BatchHeader, BatchView};
use lockstep_record::Sequence;
use lockstep_record::event::EventSink;

/// Digests remembered, by batch index: a header names the digest of a batch at most this far back,
/// or it is not compared (and counted).
const DIGESTS_MAX: usize = 1 << 14;

/// Applies batches in order and checks the log's digests.
#[derive(Debug)]
pub struct Replayer {
    pub machine: StateMachine,
    digests: Vec<(u64, u64)>,
    pub batches: u64,
    pub records: u64,
    pub digests_compared: u64,
    pub digests_too_old: u64,
}

impl Replayer {
    pub fn new(machine: StateMachine) -> Self {
        Self {
            machine,
            digests: vec![(0, 0); DIGESTS_MAX],
            batches: 0,
            records: 0,
            digests_compared: 0,
            digests_too_old: 0,
        }
    }

    /// Goes on behind a snapshot, whose digest the log may name.
    pub fn behind_snapshot(machine: StateMachine) -> Self {
        let mut replayer = Self::new(machine);
        let (index, digest) = (replayer.machine.last_index().0, replayer.machine.digest());
        replayer.digests[(index as usize) % DIGESTS_MAX] = (index, digest);
        replayer
    }

    /// Applies one batch.
    #[inline]
    pub fn apply<S: EventSink>(
        &mut self,
        batch: &BatchView<'_>,
        sink: &mut S,
    ) -> Result<(), Fatal> {
        self.check_digest(&batch.header)?;
        let info = batch_info(&batch.header)?;
        self.machine
            .apply_before(&info, batch.body(), batch.coming(), sink)
            .map_err(|e| apply_fatal(&e))?;
        let slot = (batch.header.index as usize) % DIGESTS_MAX;
        self.digests[slot] = (batch.header.index, self.machine.digest());
        self.batches += 1;
        self.records += u64::from(batch.header.record_count);
        Ok(())
    }

    fn check_digest(&mut self, header: &BatchHeader) -> Result<(), Fatal> {
        if header.digest_index == 0 {
            return Ok(());
        }
        let (index, digest) = self.digests[(header.digest_index as usize) % DIGESTS_MAX];
        if index != header.digest_index {
            self.digests_too_old += 1;
            return Ok(());
        }
        if digest != header.digest {
            let what = format!(
                "replay diverged: batch {} says the digest after batch {} was {:016x}, replay gives \
                 {digest:016x}; keep the journal, do not trade on it, and report it",
                header.index, header.digest_index, header.digest
            );
            return Err(Fatal::new(ExitCode::Diverged, what));
        }
        self.digests_compared += 1;
        Ok(())
    }

    /// Sequence of the last record applied.
    pub fn last_sequence(&self) -> Sequence {
        self.machine.last_sequence()
    }
}
