//! `lockstep doctor`: is this host fit for a low-latency venue, and which command mends what is not?
//!
//! It only reads. It never writes a setting, never needs root, and says *unknown* where the host does
//! not let it look.

mod cpu;
mod disk;
mod finding;
mod host;
mod kernel;
mod memory;
mod network;

use clap::Args;
use finding::{Finding, Status};
use host::Host;
use lockstep_node::config::{Config, Idle};
use lockstep_node::fatal::{ExitCode, Fatal};
use std::path::PathBuf;

#[derive(Args)]
pub struct DoctorArguments {
    /// Configuration whose cores, folders and limits are looked at; without it, the host in general
    #[arg(long)]
    config: Option<PathBuf>,
    /// Network interface of the clients; without it, every one with a device behind it that is up
    #[arg(long)]
    interface: Vec<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What the checks are about.
struct Plan {
    /// Cores that agents are pinned to.
    cores: Vec<u32>,
    /// Any of them spins.
    spins: bool,
    /// Where the journal will be (its nearest existing folder).
    data: PathBuf,
    log_buffer_bytes: u64,
    connections_max: u64,
    interfaces: Vec<String>,
}

impl Plan {
    fn new(arguments: &DoctorArguments, host: &Host) -> Result<Self, Fatal> {
        let config = arguments.config.as_deref().map(Config::load).transpose()?;
        let mut interfaces = arguments.interface.clone();
        if interfaces.is_empty() {
            interfaces = network::interfaces_up(host);
        }
        let Some(config) = config else {
            return Ok(Self {
                cores: Vec::new(),
                spins: true,
                data: PathBuf::from("."),
                log_buffer_bytes: 64 << 20,
                connections_max: 1024,
                interfaces,
            });
        };
        let pinned = || config.threads.iter().filter(|t| t.core.is_some());
        let mut cores: Vec<u32> = pinned().filter_map(|t| t.core).collect();
        cores.sort_unstable();
        cores.dedup();
        Ok(Self {
            cores,
            spins: pinned().any(|t| t.idle == Idle::Spin),
            data: config.data.directory.clone(),
            log_buffer_bytes: config.journal.log_buffer_bytes,
            connections_max: u64::from(config.network.connections_max),
            interfaces,
        })
    }
}

pub fn run(arguments: &DoctorArguments) -> Result<(), Fatal> {
    let host = Host::new("/");
    let plan = Plan::new(arguments, &host)?;
    let findings = examine(&host, &plan);
    if arguments.json {
        println!("{}", finding::json(&findings));
    } else {
        finding::print(&findings);
    }
    let failures = findings.iter().filter(|f| f.status == Status::Fail).count();
    if failures > 0 {
        let what = format!("doctor: {failures} failures; each names the command that mends it");
        return Err(Fatal::new(ExitCode::CheckFailed, what));
    }
    Ok(())
}

fn examine(host: &Host, plan: &Plan) -> Vec<Finding> {
    let mut findings = Vec::new();
    kernel::examine(host, &mut findings);
    cpu::examine(host, plan, &mut findings);
    memory::examine(host, plan, &mut findings);
    network::examine(host, plan, &mut findings);
    disk::examine(host, plan, &mut findings);
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever the host, every check answers, each once, and nothing bad goes without a remedy.
    #[test]
    fn each_check_answers_on_this_host() {
        let arguments = DoctorArguments {
            config: None,
            interface: Vec::new(),
            json: false,
        };
        let host = Host::new("/");
        let plan = Plan::new(&arguments, &host).unwrap();
        let findings = examine(&host, &plan);
        assert!(findings.len() >= 20, "only {} checks", findings.len());
        let mut names: Vec<_> = findings.iter().map(|f| f.name.clone()).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), findings.len(), "a check answers twice");
        for finding in &findings {
            let bad = matches!(finding.status, Status::Fail | Status::Warn);
            assert!(!bad || finding.remedy.is_some(), "{finding:?}");
        }
    }

    /// A host that lets nothing be read is unknown, not healthy and not a panic.
    #[test]
    fn an_unreadable_host_is_unknown() {
        let empty = tempfile::tempdir().unwrap();
        let host = Host::new(empty.path());
        let plan = Plan {
            cores: vec![1],
            spins: true,
            data: PathBuf::from("."),
            log_buffer_bytes: 1,
            connections_max: 1,
            interfaces: vec!["lockstep-none".into()],
        };
        for finding in examine(&host, &plan) {
            let asks_the_kernel = ["io_uring", "storage"].contains(&finding.name.as_str());
            assert!(
                asks_the_kernel || finding.status != Status::Pass,
                "{finding:?}"
            );
        }
    }
}
