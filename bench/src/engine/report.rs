//! What `bench engine` prints.

use super::stream::{Counts, Stream};
use super::{EngineArgs, Measured};
use crate::book::report::{LatencyNs, median, rate};
use crate::measure::cost::Cost;
use crate::measure::setting::Setting;
use crate::measure::ticks::Ticks;
use lockstep_core::StateMachine;
use serde::Serialize;
use std::fmt;

#[derive(Clone, Debug, Serialize)]
pub struct EngineReport {
    pub commands: u64,
    pub sessions: u32,
    pub instruments: u32,
    pub live_orders: u32,
    pub batch: u32,
    /// Self-trade prevention is always defined; limits and throttles only with this.
    pub protections: bool,
    pub events: Counts,
    pub messages: u64,
    pub message_bytes: u64,
    pub digest: String,
    /// Median of the rounds.
    pub commands_per_s: u64,
    pub ns_per_command: f64,
    pub rounds_ns: Vec<u64>,
    /// Parsing the records without applying them.
    pub empty_ns_per_command: f64,
    /// Of a record that is a batch of its own.
    pub latency_ns: LatencyNs,
    pub timer_ns: LatencyNs,
    /// Most of any timed pass.
    pub page_faults: u64,
    pub allocations: Option<u64>,
    /// For each order that the bounds allow: its order, its share of the index and its details.
    pub bytes_per_order: usize,
    pub setting: Setting,
}

impl EngineReport {
    pub(super) fn new(
        measured: &Measured,
        stream: &Stream,
        arguments: &EngineArgs,
        ticks: &Ticks,
        setting: Setting,
    ) -> Self {
        let commands = (stream.records.len() - stream.filling) as u64;
        let wall_ns = median(measured.machine.iter().map(|run| run.wall_ns));
        let empty_ns = median(measured.empty.iter().map(|run| run.wall_ns));
        let each = |ns: u64| ns as f64 / commands.max(1) as f64;
        let most = Cost::most(measured.machine.iter().map(|run| run.cost));
        Self {
            commands,
            sessions: arguments.sessions,
            instruments: arguments.instruments,
            live_orders: arguments.live_orders,
            batch: arguments.batch,
            protections: arguments.protections,
            events: stream.counts,
            messages: measured.messages,
            message_bytes: measured.bytes,
            digest: format!("{:016x}", measured.digest),
            commands_per_s: rate(commands, wall_ns),
            ns_per_command: each(wall_ns),
            rounds_ns: measured.machine.iter().map(|run| run.wall_ns).collect(),
            empty_ns_per_command: each(empty_ns),
            latency_ns: LatencyNs::of(&measured.latency, ticks),
            timer_ns: LatencyNs::of(&[ticks.own_cost()], ticks),
            page_faults: most.page_faults,
            allocations: most.allocations,
            bytes_per_order: StateMachine::bytes_per_order(),
            setting,
        }
    }
}

impl fmt::Display for EngineReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts {
            accepted,
            executed,
            canceled,
            replaced,
            rejected,
            self_trades_prevented,
            silent,
        } = self.events;
        writeln!(
            f,
            "{} commands of {} sessions on {} instruments, about {} orders live, batches of {}; self-trade \
             prevention on, limits and throttles {}",
            self.commands,
            self.sessions,
            self.instruments,
            self.live_orders,
            self.batch,
            if self.protections {
                "on"
            } else {
                "not defined"
            }
        )?;
        writeln!(
            f,
            "events   accepted {accepted} · executed {executed} · canceled {canceled} · replaced {replaced} · \
             rejected {rejected} · self-match {self_trades_prevented} · silent {silent}"
        )?;
        writeln!(
            f,
            "wire     {} messages, {} bytes; digest {}",
            self.messages, self.message_bytes, self.digest
        )?;
        let rounds: Vec<String> = self
            .rounds_ns
            .iter()
            .map(|ns| format!("{:.1}", *ns as f64 / self.commands.max(1) as f64))
            .collect();
        writeln!(
            f,
            "engine   {:>12} commands/s, {:.1} ns each (rounds {}); parsing alone {:.1} ns",
            self.commands_per_s,
            self.ns_per_command,
            rounds.join(" "),
            self.empty_ns_per_command
        )?;
        writeln!(f, "latency  ns, a batch each: {}", self.latency_ns)?;
        writeln!(f, "timer    ns: {} (part of every latency)", self.timer_ns)?;
        let allocations = self
            .allocations
            .map_or("not counted".to_owned(), |count| count.to_string());
        writeln!(
            f,
            "memory   {} bytes an order with index and details; page faults {}, allocations {allocations}",
            self.bytes_per_order, self.page_faults
        )?;
        write!(f, "{}", self.setting)
    }
}
