//! `bench engine`: the whole state machine, records in, encoded OUCH messages out, without network or
//! journal.
//!
//! Passes by turns: an empty loop that only parses the records; batches with nothing else; and, for
//! latency, each record as a batch of its own with the time-stamp counter read around it. Every pass must
//! give the same digest, by which each field of each event is compared.

pub mod report;
pub mod stream;

use crate::book::report::Run;
use crate::measure::setting::Setting;
use crate::measure::thread::{Idle, PinError, describe, pin};
use crate::measure::ticks::{TickHistogram, Ticks};
use clap::Args;
use lockstep_core::{ApplyError, Capacity, StateMachine};
use lockstep_record::Record;
use lockstep_record::event::{Control, Delivery, Event, EventSink};
use lockstep_wire::ouch::{SEQUENCED_LENGTH_MAX, encode_sequenced};
use report::EngineReport;
use std::hint::black_box;
use stream::{Log, Stream, make};
use thiserror::Error;

pub const SESSIONS_MAX: i64 = 99_999;
pub const INSTRUMENTS_MAX: i64 = 9_999;
/// Outbound bytes kept, as in an egress ring: a power of two.
const RING_LENGTH: usize = 1 << 20;
/// Sessions of a firm.
const FIRM_SESSIONS: u32 = 10;

/// Measures the whole state machine.
#[derive(Clone, Debug, Args)]
pub struct EngineArgs {
    /// Commands that are timed.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    pub commands: u32,
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=SESSIONS_MAX))]
    pub sessions: u32,
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=INSTRUMENTS_MAX))]
    pub instruments: u32,
    /// Orders that rest in the books, about.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub live_orders: u32,
    /// Records of a batch.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1_024))]
    pub batch: u32,
    /// Rounds of all passes; medians count.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub rounds: u16,
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Define limits and throttles too, which every order is held against and none reaches.
    #[arg(long)]
    pub protections: bool,
    /// Pin to this core.
    #[arg(long)]
    pub core: Option<usize>,
    /// One JSON object instead of the table.
    #[arg(long)]
    pub json: bool,
}

impl EngineArgs {
    pub(crate) fn firms(&self) -> u32 {
        self.sessions.div_ceil(FIRM_SESSIONS).min(999)
    }

    pub(crate) fn firm_of(&self, session: u32) -> u32 {
        1 + (session - 1) % self.firms()
    }
}

#[derive(Debug, Error)]
pub enum EngineBenchError {
    #[error(transparent)]
    Apply(#[from] ApplyError),
    #[error(transparent)]
    Pin(#[from] PinError),
    #[error("a pass gave digest {got:016x}, another {wanted:016x}: they did not say the same")]
    OtherDigest { got: u64, wanted: u64 },
    #[error("the stream does not do what it is for: {0}")]
    Stream(String),
}

/// Encodes what is said, as the venue's egress does.
#[derive(Debug)]
pub struct Wire {
    ring: Box<[u8]>,
    at: usize,
    pub messages: u64,
    pub bytes: u64,
}

impl Default for Wire {
    fn default() -> Self {
        Self {
            // Written, so that no page of it is new to the timed pass. Not zeros, nor what the compiler can see to be
            // zeros: those are asked of the kernel, and their pages were 90 page faults of the timed pass.
            ring: vec![1; RING_LENGTH + SEQUENCED_LENGTH_MAX].into(),
            at: 0,
            messages: 0,
            bytes: 0,
        }
    }
}

impl EventSink for Wire {
    #[inline(always)]
    fn deliver(&mut self, to: &Delivery, event: Event<'_>) {
        let length = encode_sequenced(to, &event, &mut self.ring[self.at..]);
        self.at = (self.at + length) & (RING_LENGTH - 1);
        self.messages += 1;
        self.bytes += length as u64;
    }

    fn control(&mut self, _: &Control) {}
}

/// A machine at the first record to be timed.
struct Ready {
    machine: StateMachine,
    wire: Wire,
    log: Log,
}

impl Ready {
    fn new(stream: &Stream) -> Result<Self, ApplyError> {
        let mut ready = Self {
            machine: StateMachine::new(Capacity::default()),
            wire: Wire::default(),
            log: Log::default(),
        };
        ready.apply(stream, 0, stream.filling, 1)?;
        (ready.wire.messages, ready.wire.bytes) = (0, 0);
        Ok(ready)
    }

    /// Applies records in batches of `batch`.
    #[inline(always)]
    fn apply(
        &mut self,
        stream: &Stream,
        mut at: usize,
        end: usize,
        batch: usize,
    ) -> Result<(), ApplyError> {
        while at < end {
            let count = batch.min(end - at);
            let info = self.log.batch(count as u32);
            let records = stream.records.range(at, count);
            self.machine.apply(&info, records, &mut self.wire)?;
            at += count;
        }
        Ok(())
    }
}

/// What the rounds gave.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    pub empty: Vec<Run>,
    pub machine: Vec<Run>,
    pub latency: Vec<TickHistogram>,
    pub messages: u64,
    pub bytes: u64,
    pub digest: u64,
}

/// Runs it all.
pub fn run(arguments: &EngineArgs) -> Result<EngineReport, EngineBenchError> {
    if let Some(core) = arguments.core {
        pin(core)?;
    }
    let stream = make(arguments)?;
    let refused = stream.counts.rejected * 100 > u64::from(arguments.commands);
    if refused || stream.counts.accepted == 0 {
        return Err(EngineBenchError::Stream(format!("{:?}", stream.counts)));
    }
    let ticks = Ticks::calibrate();
    let measured = measure(&stream, arguments, &ticks)?;
    let layout = describe(arguments.core, Idle::Spin);
    let setting = Setting::new("none", "none", &format!("one thread, {layout}"));
    Ok(EngineReport::new(
        &measured, &stream, arguments, &ticks, setting,
    ))
}

fn measure(
    stream: &Stream,
    arguments: &EngineArgs,
    ticks: &Ticks,
) -> Result<Measured, EngineBenchError> {
    let mut measured = Measured::default();
    let mut latency_digest = None;
    for round in 0..arguments.rounds {
        measured.empty.push(Run::of(|| empty(stream)));
        let (run, ready) = throughput(stream, arguments.batch as usize)?;
        measured.machine.push(run);
        let digest = ready.machine.digest();
        if round == 0 {
            measured.digest = digest;
            (measured.messages, measured.bytes) = (ready.wire.messages, ready.wire.bytes);
        }
        same(digest, measured.digest)?;
        drop(ready);
        let (histogram, digest) = latency(stream, ticks)?;
        // Other batches have other times, which are in every message: a digest of its own.
        same(digest, *latency_digest.get_or_insert(digest))?;
        measured.latency.push(histogram);
    }
    Ok(measured)
}

fn same(got: u64, wanted: u64) -> Result<(), EngineBenchError> {
    if got == wanted {
        Ok(())
    } else {
        Err(EngineBenchError::OtherDigest { got, wanted })
    }
}

/// Parses the records and looks at nothing else.
#[inline(never)]
fn empty(stream: &Stream) {
    for at in stream.filling..stream.records.len() {
        if let Ok((record, _)) = Record::parse(stream.records.range(at, 1)) {
            black_box(record.header().kind);
        }
    }
}

fn throughput(stream: &Stream, batch: usize) -> Result<(Run, Ready), ApplyError> {
    let mut ready = Ready::new(stream)?;
    let mut result = Ok(());
    let run = Run::of(|| result = timed(&mut ready, stream, batch));
    result.map(|()| (run, ready))
}

#[inline(never)]
fn timed(ready: &mut Ready, stream: &Stream, batch: usize) -> Result<(), ApplyError> {
    ready.apply(stream, stream.filling, stream.records.len(), batch)
}

#[inline(never)]
fn latency(stream: &Stream, ticks: &Ticks) -> Result<(TickHistogram, u64), ApplyError> {
    let mut ready = Ready::new(stream)?;
    let mut histogram = TickHistogram::new();
    for at in stream.filling..stream.records.len() {
        let info = ready.log.batch(1);
        let record = stream.records.range(at, 1);
        let begin = ticks.begin();
        let result = ready.machine.apply(&info, record, &mut ready.wire);
        histogram.record(ticks.end().saturating_sub(begin));
        result?;
    }
    Ok((histogram, ready.machine.digest()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(protections: bool) -> EngineArgs {
        EngineArgs {
            commands: 20_000,
            sessions: 50,
            instruments: 10,
            live_orders: 500,
            batch: 64,
            rounds: 2,
            seed: 1,
            protections,
            core: None,
            json: false,
        }
    }

    /// Tiny, so that it cannot rot: the stream does all that it is for, and the passes agree.
    #[test]
    fn a_small_stream_runs_and_reports() {
        for protections in [false, true] {
            let report = run(&arguments(protections)).expect("runs");
            let counts = report.events;
            assert_eq!(counts.rejected, 0, "{report}");
            assert!(
                counts.accepted > 8_000 && counts.canceled > 6_000,
                "{report}"
            );
            assert!(counts.executed > 2_000 && counts.replaced > 700, "{report}");
            assert!(
                counts.self_trades_prevented > 0 && counts.silent < 400,
                "{report}"
            );
            let json = serde_json::to_value(&report).expect("json");
            for field in [
                "commands_per_s",
                "digest",
                "page_faults",
                "bytes_per_order",
                "setting",
            ] {
                assert!(!json[field].is_null(), "{field}");
            }
            assert!(json["latency_ns"]["p999"].as_u64() > Some(0));
        }
    }

    /// What the passes encode is what the maker of the stream heard.
    #[test]
    fn every_event_is_encoded() {
        let arguments = arguments(false);
        let stream = make(&arguments).expect("makes");
        let (_, ready) = throughput(&stream, 64).expect("runs");
        let c = stream.counts;
        let heard = c.accepted + c.executed + c.canceled + c.replaced + c.self_trades_prevented;
        assert_eq!(ready.wire.messages, heard);
        assert!(ready.wire.bytes > heard * 20);
    }
}
