//! The venue's own counters beside a figure: what it did while the load ran.
//!
//! They explain a figure and never enter it. The load itself looks at three of them every 10 ms for the depths: it
//! reads mapped memory. A thread that did so shared the load's core and was its p99 (100 times 20 to 130 µs a second).

use lockstep_node::counters::{CounterId, CounterPlace, CounterValue, CountersView};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;

const LOOK_EVERY_NS: u64 = 10_000_000;
/// Counters that say how things are, not how often something happened.
const LEVELS: [CounterId; 5] = [
    CounterId::ConnectionsOpen,
    CounterId::SessionsBehind,
    CounterId::OpenOrders,
    CounterId::ResidentBytes,
    CounterId::UptimeMs,
];

/// Records that waited between two stages, seen from outside every 10 ms.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Depth {
    pub mean: u64,
    pub max: u64,
}

/// What the venue's counters say of a run.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct ServerReport {
    /// By label: how much a counter rose from before the warm-up to after the last answer.
    pub rose: BTreeMap<String, u64>,
    pub records_per_batch_per_mille: u64,
    /// Messages that the gateway took and the sequencer has not: the ingress ring.
    pub ingress_depth: Depth,
    /// Records sequenced and not applied: log buffer, consensus.
    pub engine_depth: Depth,
    pub looks: u64,
}

/// Watches a counters file until `finish`.
#[derive(Debug)]
pub struct ServerWatch {
    view: CountersView,
    before: Vec<CounterValue>,
    places: Places,
    from: Stages,
    depths: Depths,
    next_look_ns: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    sum: u64,
    max: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Depths {
    ingress: Sum,
    engine: Sum,
    looks: u64,
}

fn value(values: &[CounterValue], id: CounterId) -> u64 {
    let found = values.iter().find(|counter| counter.id == id as u32);
    found.map_or(0, |counter| counter.value)
}

impl Sum {
    fn add(&mut self, depth: u64) {
        self.sum += depth;
        self.max = self.max.max(depth);
    }

    fn depth(self, looks: u64) -> Depth {
        Depth {
            mean: self.sum / looks.max(1),
            max: self.max,
        }
    }
}

impl Depths {
    /// `before` was read while nothing was under way: logins and what the node itself proposes make the
    /// counters differ by a constant.
    fn look(&mut self, before: &Stages, now: &Stages) {
        let rose = |of: fn(&Stages) -> u64| of(now).saturating_sub(of(before));
        let (taken, sequenced) = (rose(|s| s.taken), rose(|s| s.sequenced));
        self.looks += 1;
        // Stages are read one after the other, so a later one may seem ahead.
        self.ingress.add(taken.saturating_sub(sequenced));
        self.engine
            .add(sequenced.saturating_sub(rose(|s| s.applied)));
    }
}

/// How far the stages of the venue are.
#[derive(Clone, Copy, Debug)]
struct Stages {
    taken: u64,
    sequenced: u64,
    applied: u64,
}

/// Their counters.
#[derive(Clone, Copy, Debug)]
struct Places([Option<CounterPlace>; 3]);

impl Places {
    fn find(view: &CountersView) -> Self {
        let stages = [
            CounterId::MessagesIn,
            CounterId::Records,
            CounterId::AppliedSequence,
        ];
        Self(stages.map(|id| view.find(id)))
    }

    fn read(&self, view: &CountersView) -> Stages {
        let [taken, sequenced, applied] = self
            .0
            .map(|place| place.map_or(0, |place| view.value(place)));
        Stages {
            taken,
            sequenced,
            applied,
        }
    }
}

impl ServerWatch {
    /// Begins to watch. Nothing may be under way at the venue.
    pub fn start(path: &Path) -> io::Result<Self> {
        let view = CountersView::open(path)?;
        let places = Places::find(&view);
        Ok(Self {
            before: view.values(),
            from: places.read(&view),
            places,
            view,
            depths: Depths::default(),
            next_look_ns: 0,
        })
    }

    /// One look if one is due; `now_ns` by any monotonic clock, always the same.
    #[inline]
    pub fn turn(&mut self, now_ns: u64) {
        if now_ns >= self.next_look_ns {
            self.next_look_ns = now_ns + LOOK_EVERY_NS;
            self.depths.look(&self.from, &self.places.read(&self.view));
        }
    }

    /// Ends the watch and says what was seen.
    pub fn finish(self) -> ServerReport {
        report(&self.before, &self.view.values(), self.depths)
    }
}

fn report(before: &[CounterValue], after: &[CounterValue], depths: Depths) -> ServerReport {
    let is_level = |id: u32| LEVELS.iter().any(|level| *level as u32 == id);
    let was = |id: u32| {
        let found = before.iter().find(|counter| counter.id == id);
        found.map_or(0, |counter| counter.value)
    };
    let rose: BTreeMap<_, _> = after
        .iter()
        .filter(|counter| !is_level(counter.id))
        .map(|counter| {
            (
                counter.label.clone(),
                counter.value.saturating_sub(was(counter.id)),
            )
        })
        .collect();
    let grew = |id| value(after, id).saturating_sub(value(before, id));
    let (records, batches) = (grew(CounterId::Records), grew(CounterId::Batches));
    ServerReport {
        rose,
        records_per_batch_per_mille: records.saturating_mul(1000) / batches.max(1),
        ingress_depth: depths.ingress.depth(depths.looks),
        engine_depth: depths.engine.depth(depths.looks),
        looks: depths.looks,
    }
}

impl fmt::Display for ServerReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per_batch = self.records_per_batch_per_mille;
        write!(
            f,
            "server: {}.{:03} records a batch · depth mean/max: ingress {}/{}, engine {}/{} ({} looks)",
            per_batch / 1000,
            per_batch % 1000,
            self.ingress_depth.mean,
            self.ingress_depth.max,
            self.engine_depth.mean,
            self.engine_depth.max,
            self.looks
        )?;
        for (label, rose) in &self.rose {
            write!(f, "\n  {rose:>12}  {label}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockstep_node::counters::Counters;

    #[test]
    fn what_rose_is_told_and_levels_are_left_out() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("counters");
        let counters = Counters::create(&path).expect("file");
        let set = |id, to: u64| counters.counter(id).set(to);
        set(CounterId::Batches, 10);
        set(CounterId::OpenOrders, 5);
        let mut watch = ServerWatch::start(&path).expect("readable");
        set(CounterId::Batches, 14);
        set(CounterId::Records, 10);
        set(CounterId::MessagesIn, 13);
        set(CounterId::AppliedSequence, 8);
        set(CounterId::OpenOrders, 50);
        for now_ns in [5, LOOK_EVERY_NS, LOOK_EVERY_NS + 5, LOOK_EVERY_NS + 6] {
            watch.turn(now_ns);
        }
        let report = watch.finish();
        assert_eq!(report.records_per_batch_per_mille, 2_500);
        assert_eq!(report.rose["sequencer: batches sealed"], 4);
        assert!(!report.rose.contains_key("engine: open orders"), "{report}");
        assert_eq!(report.looks, 2, "{report}");
        assert_eq!((report.ingress_depth.max, report.engine_depth.max), (3, 2));
    }

    #[test]
    fn a_file_that_is_no_counters_file_is_an_error() {
        assert!(ServerWatch::start(Path::new("/proc/self/status")).is_err());
        assert!(ServerWatch::start(Path::new("/absent")).is_err());
    }
}
