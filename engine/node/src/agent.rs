//! Agents: pipeline stages with one duty cycle each, and the threads that run them.
//!
//! An agent has one role and no thread of its own. A layout maps agents onto threads with an idle
//! strategy; the simulator drives the same agents by hand.

use crate::affinity;
use crate::config::{Idle, ThreadConfig};
use crate::fatal::Fatal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The time a duty cycle began; read once per cycle by the thread, never by an agent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Now {
    /// Monotonic ns since the node's start: timers and timeouts.
    pub monotonic_ns: u64,
}

pub trait Agent {
    fn name(&self) -> &'static str;

    /// One duty cycle; never blocks. Returns how much was done, 0 = idle.
    fn do_work(&mut self, now: Now) -> Result<usize, Fatal>;

    /// Blocks until there may be work, at most `timeout`; agents that own a descriptor override it.
    /// Only the `park` strategy calls it, on the first agent of a thread that answers true.
    fn park(&mut self, timeout: Duration) -> bool {
        let _ = timeout;
        false
    }

    /// Called once when a stop was requested: take no more input from outside.
    fn on_stop_requested(&mut self) {}

    /// Called while the node stops, once all earlier stages have finished, until it returns true:
    /// finish what was accepted. `do_work` is called as well, before it.
    fn on_stop(&mut self, now: Now) -> Result<bool, Fatal> {
        let _ = now;
        Ok(true)
    }

    /// What [`Self::on_stop`] still waits for, in the operator's words: said once a stop takes long.
    fn awaits(&self) -> String {
        "the end of its work".to_owned()
    }
}

/// Stop requested, and the first fatal condition of any thread.
#[derive(Debug, Default)]
pub struct Stop {
    requested: AtomicBool,
    /// Agents that have heard of the request; none finishes before all have.
    notified: AtomicUsize,
    agents: AtomicUsize,
    /// Order of stopping: stage i may finish once all earlier stages have.
    finished: [AtomicBool; STAGES_MAX],
    failed: AtomicBool,
    fatal: std::sync::Mutex<Option<Fatal>>,
}

/// Stages of the stopping order; more than a node has agents.
pub const STAGES_MAX: usize = 16;

impl Stop {
    pub fn request(&self) {
        self.requested.store(true, Ordering::Release);
    }

    #[inline(always)]
    pub fn is_requested(&self) -> bool {
        self.requested.load(Ordering::Acquire)
    }

    /// A fatal condition: every thread ends at once, without the orderly part.
    pub fn fail(&self, fatal: Fatal) {
        let mut slot = self.fatal.lock().unwrap_or_else(|e| e.into_inner());
        slot.get_or_insert(fatal);
        drop(slot);
        self.failed.store(true, Ordering::Release);
        self.request();
    }

    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    pub fn take_fatal(&self) -> Option<Fatal> {
        self.fatal.lock().unwrap_or_else(|e| e.into_inner()).take()
    }

    /// How many agents the node has; call before any thread starts.
    pub fn expect(&self, agents: usize) {
        self.agents.store(agents, Ordering::Release);
    }

    fn may_finish(&self, stage: usize) -> bool {
        self.notified.load(Ordering::Acquire) == self.agents.load(Ordering::Acquire)
            && self.finished[..stage]
                .iter()
                .all(|f| f.load(Ordering::Acquire))
    }

    fn set_finished(&self, stage: usize) {
        self.finished[stage].store(true, Ordering::Release);
    }

    fn is_finished(&self, stage: usize) -> bool {
        self.finished[stage].load(Ordering::Acquire)
    }
}

/// Makes an agent on the thread that will run it: an io_uring ring belongs to its thread.
pub type MakeAgent = Box<dyn FnOnce() -> Result<Box<dyn Agent>, Fatal> + Send>;

/// An agent to be, with its place in the stopping order (0 stops first).
pub struct StagePlan {
    pub stage: usize,
    pub make: MakeAgent,
}

impl std::fmt::Debug for StagePlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StagePlan({})", self.stage)
    }
}

struct Stage {
    stage: usize,
    agent: Box<dyn Agent>,
}

/// Runs the planned agents on this thread until the node stops.
pub fn run_thread(config: &ThreadConfig, plans: Vec<StagePlan>, stop: &Arc<Stop>, start: Instant) {
    if let Some(core) = config.core
        && !core_affinity::set_for_current(core_affinity::CoreId { id: core as usize })
    {
        tracing::warn!(
            core,
            "this thread could not be pinned; it runs where the kernel puts it"
        );
    }
    affinity::take_nice(config.nice);
    if let Err(fatal) = run_stages(config.idle, plans, stop, start) {
        stop.fail(fatal);
    }
}

fn now(start: Instant) -> Now {
    Now {
        monotonic_ns: start.elapsed().as_nanos() as u64,
    }
}

fn run_stages(
    idle: Idle,
    plans: Vec<StagePlan>,
    stop: &Arc<Stop>,
    start: Instant,
) -> Result<(), Fatal> {
    let mut stages = Vec::with_capacity(plans.len());
    for plan in plans {
        stages.push(Stage {
            stage: plan.stage,
            agent: (plan.make)()?,
        });
    }
    let stages = &mut stages[..];
    let mut idler = Idler::new(idle);
    while !stop.is_requested() {
        let at = now(start);
        let mut work = 0;
        for stage in stages.iter_mut() {
            work += stage.agent.do_work(at)?;
        }
        idler.after(work, stages);
    }
    drain(stages, stop, start)
}

/// A stopping thread that found nothing to do gives its core away for so long. It did so by `sched_yield` alone: where
/// the scheduler groups processes (autogroup, Linux 6.18), threads that do nothing but yield kept the kernel's workers
/// off both cores for up to 25 s, among them those that say that a write has ended, which the stop was waiting for.
const STOP_PAUSE: Duration = Duration::from_micros(50);

/// Orderly end: upstream stages finish first, downstream stages work on until their inputs are done.
fn drain(stages: &mut [Stage], stop: &Arc<Stop>, start: Instant) -> Result<(), Fatal> {
    for stage in stages.iter_mut() {
        stage.agent.on_stop_requested();
        stop.notified.fetch_add(1, Ordering::AcqRel);
    }
    let mut report = StopReport::new(now(start));
    while !stop.has_failed() {
        let at = now(start);
        let (mut all, mut work) = (true, 0);
        for stage in stages.iter_mut().filter(|s| !stop.is_finished(s.stage)) {
            // Asked before the work: what upstream finished with is in our input by then.
            let may_finish = stop.may_finish(stage.stage);
            work += stage.agent.do_work(at)?;
            if may_finish && stage.agent.on_stop(at)? {
                stop.set_finished(stage.stage);
                work += 1;
            } else {
                all = false;
                if may_finish {
                    report.look(at, stage.agent.as_ref());
                }
            }
        }
        if all {
            return Ok(());
        }
        if work == 0 {
            std::thread::sleep(STOP_PAUSE);
        }
    }
    Ok(())
}

/// Says which agent a long stop waits for, and why. Only one agent at a time may finish, so only its thread speaks.
#[derive(Debug)]
struct StopReport {
    begun: Now,
    due_ns: u64,
}

impl StopReport {
    const PERIOD_NS: u64 = 1_000_000_000;

    fn new(begun: Now) -> Self {
        Self {
            begun,
            due_ns: begun.monotonic_ns + Self::PERIOD_NS,
        }
    }

    fn look(&mut self, now: Now, agent: &dyn Agent) {
        if let Some(seconds) = self.due(now) {
            let (agent, awaits) = (agent.name(), agent.awaits());
            tracing::warn!(seconds, agent, "still stopping, waiting for {awaits}");
        }
    }

    /// For how many seconds the stop has lasted, when it is time to say so again.
    fn due(&mut self, now: Now) -> Option<u64> {
        if now.monotonic_ns < self.due_ns {
            return None;
        }
        self.due_ns = now.monotonic_ns + Self::PERIOD_NS;
        Some((now.monotonic_ns - self.begun.monotonic_ns) / Self::PERIOD_NS)
    }
}

/// What a thread does when a duty cycle found nothing.
#[derive(Debug)]
struct Idler {
    idle: Idle,
    empty: u32,
}

impl Idler {
    const BACKOFF_SPINS: u32 = 1_000;
    const BACKOFF_YIELDS: u32 = 1_100;
    const PARK: Duration = Duration::from_micros(500);

    fn new(idle: Idle) -> Self {
        Self { idle, empty: 0 }
    }

    #[inline]
    fn after(&mut self, work: usize, stages: &mut [Stage]) {
        if work != 0 {
            self.empty = 0;
            return;
        }
        self.empty = self.empty.saturating_add(1);
        match self.idle {
            Idle::Spin => std::hint::spin_loop(),
            Idle::Yield => std::thread::yield_now(),
            Idle::Backoff if self.empty < Self::BACKOFF_SPINS => std::hint::spin_loop(),
            Idle::Backoff if self.empty < Self::BACKOFF_YIELDS => std::thread::yield_now(),
            Idle::Backoff => std::thread::sleep(Duration::from_micros(50)),
            // A few yields first: hand-offs between the agents of one thread take a few cycles.
            Idle::Park if self.empty < 8 => std::thread::yield_now(),
            Idle::Park => {
                if !stages.iter_mut().any(|s| s.agent.park(Self::PARK)) {
                    std::thread::sleep(Duration::from_micros(100));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT_NS: u64 = 100_000_000;

    /// Waits for something outside before it finishes, as the journal does for the disk.
    struct Waiting {
        since_ns: Option<u64>,
        cycles: Arc<AtomicUsize>,
    }

    impl Agent for Waiting {
        fn name(&self) -> &'static str {
            "waiting"
        }
        fn do_work(&mut self, _: Now) -> Result<usize, Fatal> {
            self.cycles.fetch_add(1, Ordering::Relaxed);
            Ok(0)
        }
        fn on_stop(&mut self, now: Now) -> Result<bool, Fatal> {
            let since = *self.since_ns.get_or_insert(now.monotonic_ns);
            Ok(now.monotonic_ns - since >= WAIT_NS)
        }
    }

    /// A stop took up to 25 s: agents that waited for the disk's last write yielded a million times a second, which
    /// kept the kernel's workers from telling them of its end.
    #[test]
    fn a_stop_that_waits_leaves_its_core_to_others() {
        let stop = Arc::new(Stop::default());
        let cycles = Arc::new(AtomicUsize::new(0));
        stop.expect(1);
        stop.request();
        let counted = Arc::clone(&cycles);
        let plan = StagePlan {
            stage: 0,
            make: Box::new(|| {
                Ok(Box::new(Waiting {
                    since_ns: None,
                    cycles: counted,
                }))
            }),
        };
        let thread = ThreadConfig {
            core: None,
            nice: None,
            idle: Idle::Yield,
            agents: Vec::new(),
        };
        let begun = Instant::now();
        run_thread(&thread, vec![plan], &stop, begun);
        assert!(!stop.has_failed());
        // A sleep lasts at least as long as it was asked for.
        let most = begun.elapsed().as_nanos() / STOP_PAUSE.as_nanos() + 2;
        let cycles = cycles.load(Ordering::Relaxed);
        assert!((2..=most).contains(&(cycles as u128)), "{cycles} cycles");
    }

    #[test]
    fn a_long_stop_is_told_of_once_a_second() {
        let at = |ms: u64| Now {
            monotonic_ns: 5_000_000_000 + ms * 1_000_000,
        };
        let mut report = StopReport::new(at(0));
        let told: Vec<_> = [0, 999, 1_000, 1_500, 1_999, 2_000, 7_300, 7_400]
            .into_iter()
            .map(|ms| report.due(at(ms)))
            .collect();
        let expected = [None, None, Some(1), None, None, Some(2), Some(7), None];
        assert_eq!(told, expected);
    }
}
