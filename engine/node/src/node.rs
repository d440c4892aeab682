//! The node: recovers, makes agents and rings, puts them on threads, stops them in order.

use crate::admin::submit::Submitter;
use crate::admin::{AdminServer, Office, desk};
use crate::affinity;
use crate::agent::{Agent, MakeAgent, StagePlan, Stop, run_thread};
use crate::auth::{Passwords, Verifier, credentials};
use crate::clock::{BatchClock, SystemClock, WallClock};
use crate::config::{AgentName, Config, DriverChoice, Idle, ThreadConfig};
use crate::consensus::Solo;
use crate::counters::Counters;
use crate::definitions;
use crate::engine::EngineAgent;
use crate::fatal::{ExitCode, Fatal};
use crate::gateway::{Gateway, GatewayAgent, GatewayParts, GatewaySetup};
use crate::housekeeping::{self, AllocationCount};
use crate::journal::{self, JournalAgent};
use crate::keeper::{self, KeeperWork};
use crate::log::ConsensusAgent;
use crate::operator::Schedule;
use crate::recovery::{self, Recovered};
use crate::sequencer::{BatchBounds, Sequencer, SequencerAgent};
use crate::sink::{EgressSink, FRAME_MAX};
use crate::snapshot::{SnapshotAgent, SnapshotRequest};
use crate::status::{Applied, FinalState, Status};
use crate::stream::StreamAgent;
use crate::{operator, residence, ring, signals};
use lockstep_core::StateMachine;
use lockstep_journal::folder::{self, FormatOptions};
use lockstep_journal::storage::DirectStorage;
use lockstep_journal::writer::WriterOptions;
use lockstep_net::{DriverKind, Limits, Waker};
use lockstep_record::{Sequence, Term, Timestamp};
use lockstep_wire::soup::Timing;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;
use std::time::Instant;

const OPERATOR_RING_BYTES: usize = 4 << 20;

/// What a node needs beside its configuration.
#[derive(Clone, Copy, Debug)]
pub struct NodeOptions {
    /// Count of heap allocations of the process, if the binary counts them.
    pub allocation_count: Option<AllocationCount>,
    /// Told, line by line, what an operator should know of start and recovery.
    pub report: fn(&str),
}

/// A running node.
#[derive(Debug)]
pub struct Node {
    stop: Arc<Stop>,
    agents: Vec<JoinHandle<()>>,
    others: Vec<JoinHandle<()>>,
    /// The agents have ended: nobody needs another segment.
    agents_done: Arc<AtomicBool>,
    listening: Receiver<(SocketAddr, &'static str)>,
    status: Arc<Status>,
    snapshot_request: Arc<SnapshotRequest>,
    finish: recovery::Finish,
}

/// Where the journal of a configuration is.
pub fn journal_folder(config: &Config) -> PathBuf {
    config.data.directory.join("journal")
}

/// Where its stream files are.
pub fn stream_folder(config: &Config) -> PathBuf {
    config.data.directory.join("streams")
}

/// Where its counters are.
pub fn counters_file(config: &Config) -> PathBuf {
    config.data.directory.join("counters")
}

/// Makes the journal folder; refuses one that is not empty.
pub fn format_journal(config: &Config) -> Result<PathBuf, Fatal> {
    let path = journal_folder(config);
    let storage = DirectStorage::create(&path)
        .map_err(|e| Fatal::new(journal::storage_code(&e), e.to_string()))?;
    let mut options = FormatOptions::new_cluster(SystemClock.now_ns())
        .map_err(|e| Fatal::new(ExitCode::Io, format!("random ids: {e}")))?;
    options.segment_data_length = config.journal.segment_bytes;
    folder::format(&storage, &options).map_err(|e| journal::folder_fatal(&e))?;
    Ok(path)
}

impl Node {
    /// Recovers and starts every thread. Returns once they run; clients are served from when
    /// [`Node::listening`] says so.
    pub fn start(config: &Config, options: &NodeOptions) -> Result<Self, Fatal> {
        let begun = Instant::now();
        let recovered = recovery::recover(config, options.report)?;
        let are_helpers_apart = keep_helpers_off_pinned_cores(config);
        if let Err(error) = residence::populate_program() {
            tracing::warn!(%error, "the program's code is read as it is first used");
        }
        if config.memory.lock {
            residence::lock()
                .map_err(|e| Fatal::new(ExitCode::Setup, format!("memory.lock: {e}")))?;
        }
        let counters = Counters::create(&counters_file(config)).map_err(|e| {
            Fatal::new(
                ExitCode::Io,
                format!("{}: {e}", counters_file(config).display()),
            )
        })?;
        let stop = Arc::new(Stop::default());
        let (told, listening) = sync_channel(1);
        let mut assembly = Assembly::new(config, &recovered, options.report, &stop)?;
        assembly.listening = Some(told);
        assembly.segments_nice = segments_nice(config, are_helpers_apart);
        let status = Arc::clone(&assembly.status);
        let snapshot_request = Arc::clone(&assembly.snapshot_request);
        let agents_done = Arc::clone(&assembly.agents_done);
        let (plans, finish, mut others) = assembly.plan(recovered, &counters)?;
        let page = signals::page_bytes();
        let house =
            housekeeping::start(&counters, Arc::clone(&stop), options.allocation_count, page)
                .map_err(|e| thread_fatal("housekeeping", &e))?;
        others.push(house);
        let agents = start_threads(config, plans, &stop, begun)?;
        Ok(Self {
            stop,
            agents,
            others,
            agents_done,
            listening,
            status,
            snapshot_request,
            finish,
        })
    }

    /// Asks the agent `snapshot` for one now; without that agent nobody answers.
    pub fn snapshot_request(&self) -> &Arc<SnapshotRequest> {
        &self.snapshot_request
    }

    /// Address and driver, once, when the gateway has begun to listen.
    pub fn listening(&self) -> Option<(SocketAddr, &'static str)> {
        self.listening.try_recv().ok()
    }

    /// A thread has ended the node by itself.
    pub fn has_stopped(&self) -> bool {
        self.stop.is_requested()
    }

    /// Stops in order and waits. What the state has come to, or the first fatal condition of any thread.
    pub fn stop(self) -> Result<Option<FinalState>, Fatal> {
        self.stop.request();
        join(self.agents, &self.stop);
        self.agents_done.store(true, Ordering::Release);
        join(self.others, &self.stop);
        match self.stop.take_fatal() {
            Some(fatal) => Err(fatal),
            None => {
                self.finish.orderly()?;
                Ok(self.status.final_state())
            }
        }
    }
}

fn join(threads: Vec<JoinHandle<()>>, stop: &Stop) {
    for thread in threads {
        if thread.join().is_err() {
            let what = "a thread panicked; this is a bug, report it";
            stop.fail(Fatal::new(ExitCode::Setup, what));
        }
    }
}

/// Before any helper thread is started: they and this thread inherit what is left. Whether no helper runs on a core
/// of an agent.
fn keep_helpers_off_pinned_cores(config: &Config) -> bool {
    let pinned: Vec<u32> = config.threads.iter().filter_map(|t| t.core).collect();
    if pinned.is_empty() {
        return false;
    }
    match affinity::keep_off(&pinned) {
        Ok(true) => return true,
        Ok(false) => tracing::warn!(
            ?pinned,
            "no core is left for helper threads: they interrupt the agents on theirs"
        ),
        Err(error) => tracing::warn!(%error, "helper threads may run on the agents' cores"),
    }
    false
}

/// That of the journal, which stands still without segments; on a core of agents they would be its equal there.
fn segments_nice(config: &Config, are_helpers_apart: bool) -> Option<i32> {
    let has_journal = |thread: &&ThreadConfig| thread.agents.contains(&AgentName::Journal);
    let journal = config.threads.iter().find(has_journal)?;
    journal.nice.filter(|_| are_helpers_apart)
}

fn thread_fatal(name: &str, error: &std::io::Error) -> Fatal {
    Fatal::new(ExitCode::Setup, format!("thread {name}: {error}"))
}

fn setup_fatal(what: &'static str) -> impl Fn(std::io::Error) -> Fatal {
    move |e| Fatal::new(ExitCode::Setup, format!("{what}: {e}"))
}

/// Starts one thread per `[[thread]]`, each with its agents in the order of the data's flow.
fn start_threads(
    config: &Config,
    mut plans: Vec<(AgentName, MakeAgent)>,
    stop: &Arc<Stop>,
    begun: Instant,
) -> Result<Vec<JoinHandle<()>>, Fatal> {
    stop.expect(plans.len());
    let mut threads = Vec::new();
    for (i, thread) in config.threads.iter().enumerate() {
        let mut mine = Vec::new();
        for name in AgentName::ALL.into_iter().chain([AgentName::Snapshot]) {
            if thread.agents.contains(&name)
                && let Some(at) = plans.iter().position(|(n, _)| *n == name)
            {
                mine.push(StagePlan {
                    stage: stop_order(name),
                    make: plans.swap_remove(at).1,
                });
            }
        }
        let (thread, stop) = (thread.clone(), Arc::clone(stop));
        let name = format!("agents-{i}");
        let handle = std::thread::Builder::new()
            .name(name.clone())
            .spawn(move || run_thread(&thread, mine, &stop, begun))
            .map_err(|e| thread_fatal(&name, &e))?;
        threads.push(handle);
    }
    Ok(threads)
}

/// Who finishes first when the node stops: the data's flow, and the gateway last, since it sends.
fn stop_order(name: AgentName) -> usize {
    match name {
        AgentName::Sequencer => 0,
        AgentName::Journal => 1,
        AgentName::Consensus => 2,
        AgentName::Engine => 3,
        AgentName::Stream => 4,
        AgentName::Gateway => 5,
        AgentName::Snapshot => 6,
    }
}

/// The parts of a node between recovery and threads.
struct Assembly<'a> {
    config: &'a Config,
    status: Arc<Status>,
    stop: Arc<Stop>,
    flush_wanted: Arc<AtomicBool>,
    snapshot_request: Arc<SnapshotRequest>,
    agents_done: Arc<AtomicBool>,
    passwords: Passwords,
    verifier: Verifier,
    admin: Option<AdminServer>,
    listening: Option<std::sync::mpsc::SyncSender<(SocketAddr, &'static str)>>,
    segments_nice: Option<i32>,
}

type Plans = Vec<(AgentName, MakeAgent)>;

impl<'a> Assembly<'a> {
    fn new(
        config: &'a Config,
        recovered: &Recovered,
        report: fn(&str),
        stop: &Arc<Stop>,
    ) -> Result<Self, Fatal> {
        let machine = &recovered.machine;
        let applied = Applied {
            index: machine.last_index(),
            digest: machine.digest(),
        };
        let status = Arc::new(Status::new(applied, machine.last_index()));
        status.set_applied(applied, machine.last_sequence(), machine.next_deadline());
        let passwords = Passwords::new(credentials(config)?);
        let verifier =
            Verifier::start(passwords.clone()).map_err(|e| thread_fatal("passwords", &e))?;
        Ok(Self {
            config,
            status,
            stop: Arc::clone(stop),
            flush_wanted: Arc::default(),
            snapshot_request: Arc::default(),
            agents_done: Arc::default(),
            passwords,
            verifier,
            admin: bind_admin(config, report)?,
            listening: None,
            segments_nice: None,
        })
    }

    /// Makes rings, readers and the plan of every agent; starts the helper threads.
    fn plan(
        self,
        recovered: Recovered,
        counters: &Counters,
    ) -> Result<(Plans, recovery::Finish, Vec<JoinHandle<()>>), Fatal> {
        let config = self.config;
        let Recovered {
            machine,
            log,
            streams,
            reader,
            finish,
            ..
        } = recovered;
        let (ingress, mut ingress_out) =
            ring::create(config.network.ingress_ring_bytes as usize, 1)
                .map_err(setup_fatal("ingress ring"))?;
        let (operator_ring, mut operator_out) =
            ring::create(OPERATOR_RING_BYTES, 1).map_err(setup_fatal("operator ring"))?;
        let (egress, egress_out) = ring::create(config.network.egress_ring_bytes as usize, 2)
            .map_err(setup_fatal("egress ring"))?;
        let mut egress_out = egress_out.into_iter();
        let (Some(to_gateway), Some(to_streams)) = (egress_out.next(), egress_out.next()) else {
            unreachable!("two consumers were asked for");
        };
        let inputs = vec![operator_out.remove(0), ingress_out.remove(0)];

        let day = machine.day();
        let open_midnight = day.open.then_some(day.midnight);
        let mut schedule = Schedule::new(config.day.clone(), open_midnight, day.date);
        let records = opening_records(config, &machine, &mut schedule);
        let ready = Sequence(machine.last_sequence().0 + records.len() as u64);
        let next_numbers = next_numbers(config, &machine);
        let buffer = Arc::clone(&log.buffer);
        let (committed, tail) = (log.end(), log.next());

        let policy = config.acknowledge.policy;
        let writer = log.writer.with_options(WriterOptions {
            depth: config.journal.writes_in_flight as usize,
        });
        let journal_agent = JournalAgent::new(writer, Arc::clone(&buffer), policy, counters);
        let solo = Solo::new(Term(log.term), policy, committed);
        let consensus = ConsensusAgent::new(
            solo,
            log.consensus_reader,
            Arc::clone(&buffer),
            Arc::clone(&self.status),
            committed,
            counters,
        );
        let waker = gateway_waker(config)?;
        let (fates, fates_out, inquiries) =
            desk::create().map_err(setup_fatal("operator's desk"))?;
        let sink = EgressSink::new(egress, spill_bytes(config, &machine)).with_fates(fates);
        let engine = EngineAgent::new(
            machine,
            log.engine_reader,
            Arc::clone(&buffer),
            sink,
            Arc::clone(&self.status),
            Arc::clone(&inquiries),
            counters,
        )
        .with_waker(waker.clone());
        let stream = StreamAgent::new(
            to_streams,
            streams,
            Arc::clone(&self.flush_wanted),
            counters,
        );
        let bounds = BatchBounds {
            records_max: config.journal.batch_records_max,
            // The journal's segments may be shorter than the configuration would make them now.
            bytes_max: (config.journal.batch_bytes_max as usize)
                .min(log.appender.body_length_max()),
        };
        let clock = BatchClock::new(SystemClock, Timestamp(log.tail.timestamp));
        let sequencer = SequencerAgent::new(Sequencer::new(
            log.appender,
            clock,
            inputs,
            tail,
            bounds,
            Arc::clone(&self.status),
            counters,
        ));
        let parts = GatewayParts {
            timing: timing(config),
            connections_max: config.network.connections_max as usize,
            next_numbers,
            day_over: !day.open,
            ingress,
            egress: to_gateway,
            verifier: self.verifier,
            logins: config.logins.clone(),
            streams: reader,
            flush_wanted: self.flush_wanted,
        };
        let gateway = Gateway::new(parts, counters);
        let Some(listening) = self.listening else {
            unreachable!("set before planning")
        };
        let setup = GatewaySetup {
            driver: driver_kind(config.network.driver),
            limits: limits(config),
            listen: config.network.listen,
            ready,
            listening,
            status: self.status,
            waker,
        };
        let has_snapshot = |t: &ThreadConfig| t.agents.contains(&AgentName::Snapshot);
        let has_snapshot_agent = config.threads.iter().any(has_snapshot);
        let office = Office {
            config: config.clone(),
            inquiries,
            submitter: Submitter::new(operator_ring, fates_out, Arc::clone(&self.stop)),
            schedule,
            passwords: self.passwords,
            snapshots: has_snapshot_agent.then(|| Arc::clone(&self.snapshot_request)),
        };
        let mut others = vec![
            journal::start_preparer(
                log.preparer,
                self.segments_nice,
                Arc::clone(&self.agents_done),
            )
            .map_err(|e| thread_fatal("segments", &e))?,
            operator::start(office, self.admin, records, Arc::clone(&self.stop))
                .map_err(|e| thread_fatal("operator", &e))?,
        ];
        let mut plans: Plans = vec![
            (
                AgentName::Gateway,
                Box::new(move || Ok(Box::new(GatewayAgent::new(gateway, setup)?))),
            ),
            (AgentName::Sequencer, plan(sequencer)),
            (AgentName::Consensus, plan(consensus)),
            (AgentName::Journal, plan(journal_agent)),
            (AgentName::Engine, plan(engine)),
            (AgentName::Stream, plan(stream)),
        ];
        let keeper = KeeperWork::new(config, &log.storage, &log.meta, Arc::clone(&buffer))?;
        if let Some(work) = keeper {
            let thread = keeper::start(work, Arc::clone(&self.agents_done));
            others.push(thread.map_err(|e| thread_fatal("keeper", &e))?);
        }
        if has_snapshot_agent {
            let (storage, meta) = (log.storage, log.meta);
            let (what, request) = (config.snapshot.clone(), self.snapshot_request);
            let agent = SnapshotAgent::new(storage, meta, what, buffer, request, counters);
            plans.push((AgentName::Snapshot, plan(agent)));
        }
        Ok((plans, finish, others))
    }
}

/// A bell for the gateway, if its thread parks and the engine is not on it: without it an answer waits until
/// the gateway looks by itself.
fn gateway_waker(config: &Config) -> Result<Option<Waker>, Fatal> {
    let of = |name| config.threads.iter().find(|t| t.agents.contains(&name));
    let parks = of(AgentName::Gateway).is_some_and(|thread| {
        thread.idle == Idle::Park && !thread.agents.contains(&AgentName::Engine)
    });
    let waker = parks.then(Waker::new).transpose();
    waker.map_err(setup_fatal("gateway's bell"))
}

/// The admin socket, if it is served; a venue may run without.
fn bind_admin(config: &Config, report: fn(&str)) -> Result<Option<AdminServer>, Fatal> {
    match AdminServer::bind(config)? {
        Ok(server) => {
            report(&format!("admin socket {}", server.path().display()));
            Ok(Some(server))
        }
        Err(why) => {
            report(&why);
            Ok(None)
        }
    }
}

fn plan<A: Agent + Send + 'static>(agent: A) -> MakeAgent {
    Box::new(move || Ok(Box::new(agent)))
}

/// What the node proposes first: the definitions that the log lacks, and what the schedule asks for.
fn opening_records(
    config: &Config,
    machine: &StateMachine,
    schedule: &mut Schedule,
) -> Vec<Vec<u8>> {
    let mut records = definitions::proposals(config, machine);
    records.extend(schedule.due(SystemClock.now_ns()));
    records
}

/// Next outbound number of each session by id; index 0 unused.
fn next_numbers(config: &Config, machine: &StateMachine) -> Vec<u64> {
    let highest = machine
        .bounds()
        .sessions_max
        .max(config.bounds.sessions_max);
    let mut numbers = vec![1; highest as usize + 1];
    for session in machine.sessions() {
        numbers[session.session.0 as usize] = session.next_outbound.0;
    }
    numbers
}

/// Address space for the most that one batch can say: two executions for each order that may rest, and
/// a few messages for each record.
fn spill_bytes(config: &Config, machine: &StateMachine) -> usize {
    let orders = machine
        .bounds()
        .open_orders_max
        .max(config.bounds.open_orders_max) as usize;
    (2 * orders + 8 * config.journal.batch_records_max as usize) * (FRAME_MAX + 8)
}

fn timing(config: &Config) -> Timing {
    const MS: u64 = 1_000_000;
    Timing {
        login_timeout_ns: config.network.login_timeout_ms * MS,
        heartbeat_interval_ns: config.network.heartbeat_ms * MS,
        idle_timeout_ns: config.network.peer_timeout_ms * MS,
    }
}

fn limits(config: &Config) -> Limits {
    Limits {
        connections_max: config.network.connections_max,
        send_buffer_bytes: config.network.send_buffer_bytes,
        receive_tail_max: 2 * lockstep_wire::soup::CLIENT_FRAME_LENGTH_MAX as u32,
        ..Limits::default()
    }
}

fn driver_kind(choice: DriverChoice) -> DriverKind {
    match choice {
        DriverChoice::Auto => DriverKind::Auto,
        DriverChoice::IoUring => DriverKind::IoUring,
        DriverChoice::Epoll => DriverKind::Epoll,
    }
}
