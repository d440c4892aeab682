//! A node's agents between two rings, without gateway and sockets: the bed that benches measure on.

use crate::engine::EngineArgs;
use crate::engine::stream::{Stream, make};
use lockstep_core::ApplyError;
use lockstep_journal::LogBuffer;
use lockstep_journal::storage::DirectStorage;
use lockstep_node::admin::desk;
use lockstep_node::agent::{Agent, Now};
use lockstep_node::clock::{BatchClock, SystemClock};
use lockstep_node::config::{AcknowledgePolicy, Config, SnapshotConfig};
use lockstep_node::consensus::Solo;
use lockstep_node::counters::{Counter, CounterId, Counters};
use lockstep_node::engine::EngineAgent;
use lockstep_node::fatal::Fatal;
use lockstep_node::journal::{JournalAgent, start_preparer};
use lockstep_node::log::ConsensusAgent;
use lockstep_node::node::format_journal;
use lockstep_node::recovery::{Finish, Recovered, recover};
use lockstep_node::ring::{self, Consumer, Producer};
use lockstep_node::sequencer::{BatchBounds, Sequencer, SequencerAgent};
use lockstep_node::sink::EgressSink;
use lockstep_node::snapshot::SnapshotAgent;
use lockstep_node::status::{Applied, Status};
use lockstep_record::{Term, Timestamp};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;
use thiserror::Error;

/// What takes a bed's snapshots, and where they are.
pub(crate) struct Follower {
    pub agent: SnapshotAgent<DirectStorage>,
    pub storage: DirectStorage,
    /// Index of the newest snapshot.
    pub newest: Counter,
}

const RING_BYTES: usize = 1 << 20;
const SPILL_BYTES: usize = 64 << 20;
/// Records after which the next snapshot is due.
const RECORDS_BETWEEN: u64 = 50_000;

#[derive(Debug, Error)]
pub enum BedError {
    #[error("{0}")]
    Node(#[from] Fatal),
    #[error("configuration: {0}")]
    Config(String),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("a thread of the bench panicked")]
    Thread,
}

/// Where a gateway would be: records go in, what is said comes out.
pub(crate) struct Ends {
    ingress: Producer,
    egress: Consumer,
    status: Arc<Status>,
}

/// Sequencer, consensus, journal and engine. They belong to the thread that first runs them.
pub(crate) struct Works {
    agents: Vec<Box<dyn Agent>>,
    engine: EngineAgent,
    begun: Instant,
    /// Before what holds the journal's lock: nothing is made in the folder of the next bed.
    preparer: Preparer,
    finish: Finish,
    buffer: Arc<LogBuffer>,
}

/// The helper that makes segments. Dropping it waits for its end: left alone behind a round that failed, it once
/// took away the next bed's unfinished segment.
struct Preparer {
    thread: Option<JoinHandle<()>>,
    done: Arc<AtomicBool>,
}

pub(crate) struct Bed {
    pub ends: Ends,
    pub works: Works,
}

fn config(directory: &Path) -> Result<Config, BedError> {
    let text = format!(
        "[data]\ndirectory = {directory:?}\n[network]\nlisten = \"127.0.0.1:0\"\n\
         [acknowledge]\npolicy = \"local\"\n[day]\nopening = \"operator\"\n"
    );
    Config::parse(&text).map_err(BedError::Config)
}

/// Commands for a bed: a hundred sessions, about so many resting orders, one record a batch.
pub(crate) fn commands(count: u32, live_orders: u32, seed: u64) -> Result<Stream, ApplyError> {
    make(&EngineArgs {
        commands: count,
        sessions: 100,
        // A market of a few orders runs empty.
        instruments: (live_orders / 50).min(100),
        live_orders,
        batch: 1,
        rounds: 1,
        seed,
        protections: false,
        core: None,
        json: false,
    })
}

/// Measures on a thread of its own, which may pin itself, in a new folder `name` of `folder` that is removed behind it.
pub(crate) fn in_new_folder<T, E>(
    folder: &Path,
    name: &str,
    measure: impl FnOnce(&Path) -> Result<T, E> + Send,
) -> Result<T, E>
where
    T: Send,
    E: From<io::Error> + From<BedError> + Send,
{
    let directory = folder.join(name);
    std::fs::create_dir(&directory)?;
    let result = std::thread::scope(|scope| {
        let measured = scope.spawn(|| measure(&directory));
        measured.join().map_err(|_| BedError::Thread)?
    });
    // What was measured counts, not whether the files could be removed.
    let _ = std::fs::remove_dir_all(&directory);
    result
}

impl Bed {
    /// In the folder `directory`; with the agent that would take its snapshots, which nobody need drive.
    pub fn create(directory: &Path) -> Result<(Self, Follower), BedError> {
        let config = config(directory)?;
        format_journal(&config)?;
        let Recovered {
            machine,
            log,
            finish,
            ..
        } = recover(&config, |_| ())?;
        let counters = Counters::create(&directory.join("counters"))?;
        let (ingress, mut inputs) = ring::create(RING_BYTES, 1)?;
        let (egress_in, mut outputs) = ring::create(RING_BYTES, 1)?;
        let applied = Applied {
            index: machine.last_index(),
            digest: machine.digest(),
        };
        let status = Arc::new(Status::new(applied, machine.last_index()));
        let (storage, meta) = (log.storage.clone(), log.meta);
        let (buffer, policy) = (Arc::clone(&log.buffer), AcknowledgePolicy::Local);
        let (committed, tail) = (log.end(), log.next());
        let bounds = BatchBounds {
            records_max: config.journal.batch_records_max,
            bytes_max: config.journal.batch_bytes_max as usize,
        };
        let clock = BatchClock::new(SystemClock, Timestamp(log.tail.timestamp));
        let sequencer = Sequencer::new(
            log.appender,
            clock,
            vec![inputs.remove(0)],
            tail,
            bounds,
            Arc::clone(&status),
            &counters,
        );
        let consensus = ConsensusAgent::new(
            Solo::new(Term(log.term), policy, committed),
            log.consensus_reader,
            Arc::clone(&buffer),
            Arc::clone(&status),
            committed,
            &counters,
        );
        let journal = JournalAgent::new(log.writer, Arc::clone(&buffer), policy, &counters);
        let (fates, _, inquiries) = desk::create()?;
        let engine = EngineAgent::new(
            machine,
            log.engine_reader,
            Arc::clone(&buffer),
            EgressSink::new(egress_in, SPILL_BYTES).with_fates(fates),
            Arc::clone(&status),
            inquiries,
            &counters,
        );
        let done = Arc::new(AtomicBool::new(false));
        let thread = start_preparer(log.preparer, None, Arc::clone(&done))?;
        let preparer = Preparer {
            thread: Some(thread),
            done,
        };
        // By records, not when asked: a follower of batches of one record may never catch up with a loop that has
        // nothing else to do, and what is due by records does not wait for that.
        let config = SnapshotConfig {
            every_records: RECORDS_BETWEEN,
            ..SnapshotConfig::default()
        };
        let agent = SnapshotAgent::new(
            storage.clone(),
            meta,
            config,
            Arc::clone(&buffer),
            Arc::default(),
            &counters,
        );
        let follower = Follower {
            agent,
            storage,
            newest: counters.counter(CounterId::SnapshotIndex),
        };
        let agents: Vec<Box<dyn Agent>> = vec![
            Box::new(SequencerAgent::new(sequencer)),
            Box::new(consensus),
            Box::new(journal),
        ];
        let ends = Ends {
            ingress,
            egress: outputs.remove(0),
            status,
        };
        let works = Works {
            agents,
            engine,
            begun: Instant::now(),
            finish,
            buffer,
            preparer,
        };
        Ok((Self { ends, works }, follower))
    }

    /// One record from ring to ring, everything on this thread.
    #[inline(always)]
    pub fn pass(&mut self, record: &[u8]) -> Result<(), Fatal> {
        while !self.ends.push(record) {
            self.works.cycle()?;
        }
        while !self.works.cycle()? {}
        Ok(())
    }
}

impl Preparer {
    fn stop(&mut self) -> Result<(), BedError> {
        self.done.store(true, Ordering::Release);
        match self.thread.take() {
            Some(thread) => thread.join().map_err(|_| BedError::Thread),
            None => Ok(()),
        }
    }
}

impl Drop for Preparer {
    fn drop(&mut self) {
        // Behind an error; what came of the thread changes nothing.
        let _ = self.stop();
    }
}

impl Ends {
    /// False while the ring is full.
    #[inline(always)]
    pub fn push(&mut self, record: &[u8]) -> bool {
        self.ingress.push(0, record)
    }

    /// Something was said that has not been taken.
    #[inline(always)]
    pub fn has_answer(&mut self) -> bool {
        self.egress.peek().is_some()
    }

    /// Records that have been applied.
    pub fn applied(&self) -> u64 {
        self.status.applied_sequence().0
    }

    /// Takes what was said: a full ring would hold everything back. Returns messages and their bytes.
    pub fn hear(&mut self) -> (u64, u64) {
        let (mut messages, mut bytes) = (0, 0);
        while let Some(frame) = self.egress.peek() {
            messages += 1;
            bytes += frame.payload.len() as u64;
            self.egress.advance();
        }
        self.egress.publish();
        (messages, bytes)
    }
}

impl Works {
    /// One duty cycle of all; whether a batch was applied.
    #[inline(always)]
    pub fn cycle(&mut self) -> Result<bool, Fatal> {
        let now = Now {
            monotonic_ns: self.begun.elapsed().as_nanos() as u64,
        };
        for agent in &mut self.agents {
            agent.do_work(now)?;
        }
        Ok(self.engine.do_work(now)? != 0)
    }

    /// Everything on disk, nothing left in memory's file system.
    pub fn finish(mut self) -> Result<(), BedError> {
        while self.buffer.durable_position() != self.buffer.published_position() {
            self.cycle()?;
        }
        self.preparer.stop()?;
        self.finish.orderly()?;
        Ok(())
    }
}
