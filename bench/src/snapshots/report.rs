//! What the rounds of `bench snapshots` come to.

use super::{ARMS, Arm, Round, SnapshotsArgs, Stalls, Taker};
use crate::measure::latency::{Latency, SUMMARY_HEADING, Summary};
use crate::measure::median;
use crate::measure::setting::Setting;
use serde::Serialize;
use std::fmt;

/// Quantiles that are compared, in a million.
const QUANTILES: [(&str, u32); 4] = [
    ("p50", 500_000),
    ("p99", 990_000),
    ("p99.9", 999_000),
    ("p99.99", 999_900),
];

/// All rounds of one kind.
#[derive(Clone, Debug, Serialize)]
pub struct ArmReport {
    pub latency: Summary,
    /// Median round.
    pub stalls: Stalls,
}

/// One quantile: medians over the rounds, ns; each kind against the rounds with nothing on the other core.
#[derive(Clone, Debug, Serialize)]
pub struct QuantileRow {
    pub quantile: &'static str,
    pub nothing_ns: u64,
    pub loop_ns: u64,
    pub snapshots_ns: u64,
    pub loop_ratio: f64,
    pub snapshots_ratio: f64,
    /// Snapshots against nothing, of each turn of rounds.
    pub ratios: Vec<f64>,
}

#[derive(Clone, Debug, Serialize)]
pub struct SnapshotsReport {
    pub setting: Setting,
    pub commands: u32,
    pub live_orders: u32,
    /// Taken in all rounds together, and bytes of the last.
    pub snapshots: u64,
    pub snapshot_bytes: u64,
    pub rows: Vec<QuantileRow>,
    pub nothing: ArmReport,
    pub busy_loop: ArmReport,
    pub with_snapshots: ArmReport,
}

fn of(rounds: &[Vec<Round>; ARMS.len()], arm: Arm) -> &[Round] {
    let at = ARMS.iter().position(|known| *known == arm);
    at.map_or(&[], |at| &rounds[at])
}

fn row(rounds: &[Vec<Round>; ARMS.len()], (quantile, ppm): (&'static str, u32)) -> QuantileRow {
    let [nothing, looping, with] = ARMS.map(|arm| {
        let each = of(rounds, arm).iter();
        each.map(|round| round.latency.at_ppm(ppm))
            .collect::<Vec<u64>>()
    });
    let ratio = |of: u64, to: u64| of as f64 / to.max(1) as f64;
    let ratios: Vec<f64> = with
        .iter()
        .zip(&nothing)
        .map(|(with, nothing)| ratio(*with, *nothing))
        .collect();
    let (nothing_ns, loop_ns, snapshots_ns) = (median(nothing), median(looping), median(with));
    QuantileRow {
        quantile,
        nothing_ns,
        loop_ns,
        snapshots_ns,
        loop_ratio: ratio(loop_ns, nothing_ns),
        snapshots_ratio: ratio(snapshots_ns, nothing_ns),
        ratios,
    }
}

fn arm(rounds: &[Round]) -> ArmReport {
    let mut all = Latency::new();
    for round in rounds {
        all.add(&round.latency);
    }
    let median_of = |field: fn(&Stalls) -> u64| {
        median(rounds.iter().map(|round| field(&round.stalls)).collect())
    };
    ArmReport {
        latency: all.summary(),
        stalls: Stalls {
            waited_ns: median_of(|stalls| stalls.waited_ns),
            involuntary_switches: median_of(|stalls| stalls.involuntary_switches),
            stolen_ms: median_of(|stalls| stalls.stolen_ms),
        },
    }
}

pub(super) fn report(
    arguments: &SnapshotsArgs,
    rounds: &[Vec<Round>; ARMS.len()],
    taker: &Taker,
) -> SnapshotsReport {
    let core = |core: Option<usize>| core.map_or("unpinned".to_owned(), |c| format!("core {c}"));
    let layout = format!(
        "agents fused on {}, snapshots on {}",
        core(arguments.core),
        core(arguments.snapshot_core)
    );
    SnapshotsReport {
        setting: Setting::new("none", "local", &layout),
        commands: arguments.commands,
        live_orders: arguments.live_orders,
        snapshots: taker.taken,
        snapshot_bytes: taker.bytes,
        rows: QUANTILES.map(|quantile| row(rounds, quantile)).to_vec(),
        nothing: arm(of(rounds, Arm::Nothing)),
        busy_loop: arm(of(rounds, Arm::Loop)),
        with_snapshots: arm(of(rounds, Arm::Snapshots)),
    }
}

impl fmt::Display for SnapshotsReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.setting)?;
        writeln!(
            f,
            "{} commands a round, about {} live orders; {} snapshots, the last of {} bytes",
            self.commands, self.live_orders, self.snapshots, self.snapshot_bytes
        )?;
        writeln!(
            f,
            "{:<12} {:>11} {:>11} {:>6} {:>12} {:>6}  snapshots : nothing, each turn",
            "ring to ring", "nothing ns", "loop ns", "ratio", "snapshots ns", "ratio"
        )?;
        for row in &self.rows {
            let turns: Vec<String> = row.ratios.iter().map(|r| format!("{r:.2}")).collect();
            writeln!(
                f,
                "{:<12} {:>11} {:>11} {:>6.2} {:>12} {:>6.2}  {}",
                row.quantile,
                row.nothing_ns,
                row.loop_ns,
                row.loop_ratio,
                row.snapshots_ns,
                row.snapshots_ratio,
                turns.join(" ")
            )?;
        }
        writeln!(f, "all rounds of a kind together\n{SUMMARY_HEADING}")?;
        let arms = [
            ("nothing", &self.nothing),
            ("loop", &self.busy_loop),
            ("snapshots", &self.with_snapshots),
        ];
        for (name, arm) in arms {
            writeln!(f, "{}", arm.latency.row(name))?;
        }
        write!(
            f,
            "what the host took from the measured thread, median round"
        )?;
        for (name, arm) in arms {
            write!(
                f,
                "\n{name:<12} waited {} µs, {} involuntary switches, {} ms stolen from the core",
                arm.stalls.waited_ns / 1000,
                arm.stalls.involuntary_switches,
                arm.stalls.stolen_ms
            )?;
        }
        Ok(())
    }
}
