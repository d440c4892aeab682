//! A node's agents, fused on one thread between two rings, without gateway and sockets.

use super::SnapshotsBenchError;
use super::taker::Taker;
use crate::engine::stream::Stream;
use crate::measure::latency::Latency;
use crate::measure::ticks::Ticks;
use lockstep_journal::LogBuffer;
use lockstep_node::admin::desk;
use lockstep_node::agent::{Agent, Now};
use lockstep_node::clock::{BatchClock, SystemClock};
use lockstep_node::config::{AcknowledgePolicy, Config, SnapshotConfig};
use lockstep_node::consensus::Solo;
use lockstep_node::counters::Counters;
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
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

const RING_BYTES: usize = 1 << 20;
const SPILL_BYTES: usize = 64 << 20;
/// Records after which the next snapshot is due.
const RECORDS_BETWEEN: u64 = 10_000;

pub(super) struct Bed {
    ingress: Producer,
    egress: Consumer,
    agents: Vec<Box<dyn Agent>>,
    engine: EngineAgent,
    begun: Instant,
    finish: Finish,
    buffer: Arc<LogBuffer>,
    preparer: Option<JoinHandle<()>>,
    done: Arc<AtomicBool>,
}

fn config(directory: &Path) -> Result<Config, SnapshotsBenchError> {
    let text = format!(
        "[data]\ndirectory = {directory:?}\n[network]\nlisten = \"127.0.0.1:0\"\n\
         [acknowledge]\npolicy = \"local\"\n[day]\nopening = \"operator\"\n"
    );
    Config::parse(&text).map_err(SnapshotsBenchError::Config)
}

impl Bed {
    pub fn create(directory: &Path) -> Result<(Self, Taker), SnapshotsBenchError> {
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
            status,
            inquiries,
            &counters,
        );
        let done = Arc::new(AtomicBool::new(false));
        let preparer = start_preparer(log.preparer, Arc::clone(&done))?;
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
        let taker = Taker::new(agent, storage, &counters);
        let agents: Vec<Box<dyn Agent>> = vec![
            Box::new(SequencerAgent::new(sequencer)),
            Box::new(consensus),
            Box::new(journal),
        ];
        let bed = Self {
            ingress,
            egress: outputs.remove(0),
            agents,
            engine,
            begun: Instant::now(),
            finish,
            buffer,
            preparer: Some(preparer),
            done,
        };
        Ok((bed, taker))
    }

    /// One duty cycle of all; whether a batch was applied.
    #[inline(always)]
    fn cycle(&mut self) -> Result<bool, Fatal> {
        let now = Now {
            monotonic_ns: self.begun.elapsed().as_nanos() as u64,
        };
        for agent in &mut self.agents {
            agent.do_work(now)?;
        }
        Ok(self.engine.do_work(now)? != 0)
    }

    /// One record from ring to ring.
    #[inline(always)]
    pub fn pass(&mut self, record: &[u8]) -> Result<(), Fatal> {
        while !self.ingress.push(0, record) {
            self.cycle()?;
        }
        while !self.cycle()? {}
        Ok(())
    }

    #[inline(never)]
    pub fn timed(
        &mut self,
        stream: &Stream,
        range: Range<usize>,
        ticks: &Ticks,
    ) -> Result<Latency, Fatal> {
        let mut latency = Latency::new();
        for at in range {
            let record = stream.records.range(at, 1);
            let begin = ticks.begin();
            self.pass(record)?;
            let taken = ticks.end().saturating_sub(begin);
            latency.record(ticks.ns(taken));
            self.hear();
        }
        Ok(latency)
    }

    /// Takes what was said: a full ring would hold everything back.
    pub fn hear(&mut self) {
        while self.egress.peek().is_some() {
            self.egress.advance();
        }
        self.egress.publish();
    }

    /// Everything on disk, nothing left in memory's file system.
    pub fn finish(mut self) -> Result<(), SnapshotsBenchError> {
        while self.buffer.durable_position() != self.buffer.published_position() {
            self.cycle()?;
        }
        self.done.store(true, Ordering::Release);
        if let Some(thread) = self.preparer.take() {
            thread.join().map_err(|_| SnapshotsBenchError::Thread)?;
        }
        self.finish.orderly()?;
        Ok(())
    }
}
