//! `[[thread]]`: which thread runs which agents; `[memory]`.

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Idle {
    Spin,
    Yield,
    Backoff,
    Park,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "snake_case")]
pub enum AgentName {
    Gateway,
    Sequencer,
    Consensus,
    Journal,
    Engine,
    Stream,
    /// Optional, not in [`AgentName::ALL`]. May block on the disk: alone on its thread.
    Snapshot,
}

impl AgentName {
    /// In the order of the data's flow, which is the order of a fused duty cycle and of stopping.
    pub const ALL: [Self; 6] = [
        Self::Gateway,
        Self::Sequencer,
        Self::Consensus,
        Self::Journal,
        Self::Engine,
        Self::Stream,
    ];
}

#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct ThreadConfig {
    /// Core to pin to; absent: not pinned.
    #[serde(default)]
    pub core: Option<u32>,
    pub idle: Idle,
    /// Nice value, -20 to 19; absent: the process's.
    #[serde(default)]
    pub nice: Option<i32>,
    pub agents: Vec<AgentName>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct MemoryConfig {
    /// Keep in memory what was touched: nothing of the node is swapped out.
    pub lock: bool,
}

/// Adds what is left out: one thread for all agents, and one for the agent `snapshot` if it is `wanted`.
pub(super) fn complete(threads: &mut Vec<ThreadConfig>, wanted: bool) {
    if threads.is_empty() {
        threads.push(ThreadConfig {
            core: None,
            idle: Idle::Backoff,
            nice: None,
            agents: AgentName::ALL.to_vec(),
        });
    }
    let placed = |thread: &ThreadConfig| thread.agents.contains(&AgentName::Snapshot);
    if wanted && !threads.iter().any(placed) {
        threads.push(ThreadConfig {
            core: None,
            idle: Idle::Park,
            nice: None,
            agents: vec![AgentName::Snapshot],
        });
    }
}

pub(super) fn check(threads: &[ThreadConfig]) -> Result<(), String> {
    for name in AgentName::ALL {
        let agents = threads.iter().flat_map(|t| &t.agents);
        let n = agents.filter(|a| **a == name).count();
        if n != 1 {
            return Err(format!(
                "[[thread]]: agent {name:?} is on {n} threads; each agent must be on exactly one"
            ));
        }
    }
    let snapshot = |thread: &&ThreadConfig| thread.agents.contains(&AgentName::Snapshot);
    let mut with_snapshot = threads.iter().filter(snapshot);
    let alone = with_snapshot
        .next()
        .is_none_or(|thread| thread.agents.len() == 1);
    if !alone || with_snapshot.next().is_some() {
        return Err(
            "[[thread]]: agent Snapshot may block on the disk; give it one thread of its own"
                .to_owned(),
        );
    }
    for (i, thread) in threads.iter().enumerate() {
        if let Some(nice) = thread.nice.filter(|nice| !(-20..=19).contains(nice)) {
            let number = i + 1;
            return Err(format!(
                "[[thread]] {number}: nice = {nice}: must be -20 to 19"
            ));
        }
        let clash = threads[..i]
            .iter()
            .any(|t| t.core.is_some() && t.core == thread.core);
        if clash {
            return Err(format!(
                "[[thread]] {}: core {:?} is taken twice",
                i + 1,
                thread.core
            ));
        }
    }
    Ok(())
}
