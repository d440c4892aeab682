//! The log buffer as the sequencer and consensus see it.

use crate::agent::{Agent, Now};
use crate::consensus::{Consensus, LogEnd};
use crate::counters::{Counter, CounterId, Counters};
use crate::fatal::Fatal;
use crate::sequencer::{BatchLog, BatchSeal};
use crate::status::Status;
use lockstep_journal::{Appender, LogBuffer, LogBufferReader, LogPosition, SealFields};
use lockstep_record::LogIndex;
use std::sync::Arc;

impl BatchLog for Appender {
    fn begin(&mut self, body_max: usize) -> bool {
        Self::begin(self, body_max).is_ok()
    }

    #[inline]
    fn push(&mut self, record: &[u8]) -> bool {
        Self::push(self, record).is_ok()
    }

    fn seal(&mut self, seal: &BatchSeal) {
        Self::seal(
            self,
            &SealFields {
                kind: seal.kind as u8,
                term: seal.term.0,
                index: seal.index.0,
                first_sequence: seal.first_sequence.0,
                timestamp: seal.timestamp.0,
                commit_index: seal.commit_index.0,
                digest_index: seal.applied.index.0,
                digest: seal.applied.digest,
                feature_set_version: seal.feature_set_version,
            },
        );
    }

    fn erase(&mut self) {
        Self::erase(self);
    }
}

/// Tells consensus what was appended and persisted, and publishes what it says is committed.
#[derive(Debug)]
pub struct ConsensusAgent<C> {
    consensus: C,
    log: LogBufferReader,
    buffer: Arc<LogBuffer>,
    status: Arc<Status>,
    committed: LogEnd,
    persisted: LogPosition,
    commit_index: Counter,
}

/// Batches looked at in one duty cycle.
const BATCHES_MAX: usize = 256;

impl<C: Consensus> ConsensusAgent<C> {
    pub fn new(
        consensus: C,
        log: LogBufferReader,
        buffer: Arc<LogBuffer>,
        status: Arc<Status>,
        committed: LogEnd,
        counters: &Counters,
    ) -> Self {
        Self {
            consensus,
            persisted: LogPosition(committed.position),
            log,
            buffer,
            status,
            committed,
            commit_index: counters.counter(CounterId::CommitIndex),
        }
    }
}

impl<C: Consensus> Agent for ConsensusAgent<C> {
    fn name(&self) -> &'static str {
        "consensus"
    }

    fn do_work(&mut self, _: Now) -> Result<usize, Fatal> {
        let mut work = 0;
        while work < BATCHES_MAX {
            let Some(batch) = self.log.next_published() else {
                break;
            };
            let end = LogEnd {
                index: LogIndex(batch.header.index),
                position: batch.end().0,
            };
            self.consensus.handle_appended(end);
            work += 1;
        }
        let persisted = self.buffer.durable_position();
        if persisted != self.persisted {
            self.persisted = persisted;
            self.consensus.handle_persisted(persisted.0);
        }
        let committed = self.consensus.poll_commit();
        if committed != self.committed {
            self.committed = committed;
            self.buffer
                .publish_commit(committed.index.0, LogPosition(committed.position));
            self.status.set_commit_index(committed.index);
            self.commit_index.set(committed.index.0);
            work += 1;
        }
        Ok(work)
    }

    fn on_stop(&mut self, _: Now) -> Result<bool, Fatal> {
        Ok(LogPosition(self.committed.position) == self.buffer.published_position())
    }

    fn awaits(&self) -> String {
        let (position, published) = (self.committed.position, self.buffer.published_position().0);
        format!("the commit of {} bytes of the log", published - position)
    }
}
