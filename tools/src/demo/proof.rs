//! The proof after a crash: what clients remember is what an independent replay of the journal leads to.
//!
//! The replay here shares the state machine with the node and nothing of its run: it reads the journal's
//! segments from the first batch. Every comparison states how much it compared.

use super::flow::Flow;
use lockstep_bench::client::trader::Trader;
use lockstep_core::{Capacity, StateMachine};
use lockstep_journal::folder::read_meta;
use lockstep_journal::reader::{JournalReader, ReadOptions};
use lockstep_journal::storage::DirectStorage;
use lockstep_node::replay::Replayer;
use lockstep_node::status::hash_text;
use lockstep_record::event::{Control, Delivery, Event, EventSink};
use lockstep_record::{Price, SessionId, Side};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use thiserror::Error;

/// What does not fit.
#[derive(Debug, Error)]
pub enum ProofError {
    #[error("the journal cannot be replayed: {0}")]
    Replay(String),
    #[error("the venue did not print its state hash at its orderly end")]
    NoHash,
    #[error(
        "the venue's state hash is {venue} at sequence {venue_sequence}, an independent replay gives \
         {replay} at sequence {replay_sequence}"
    )]
    Hash {
        venue: String,
        venue_sequence: u64,
        replay: String,
        replay_sequence: u64,
    },
    #[error("session T{session}: {what}")]
    Session { session: u32, what: String },
    #[error("only {compared} {what} were compared, at least {least} are needed for a proof")]
    TooFew {
        what: &'static str,
        compared: u64,
        least: u64,
    },
}

/// Where a replay ended.
#[derive(Debug)]
pub struct Replayed {
    pub machine: StateMachine,
    pub batches: u64,
    pub records: u64,
    pub digests_compared: u64,
}

impl Replayed {
    pub fn hash(&self) -> String {
        hash_text(&self.machine.state_hash())
    }

    pub fn sequence(&self) -> u64 {
        self.machine.last_sequence().0
    }
}

struct Unheard;

impl EventSink for Unheard {
    fn deliver(&mut self, _: &Delivery, _: Event<'_>) {}
    fn control(&mut self, _: &Control) {}
}

/// Replays the journal folder of a stopped venue through a state machine of its own.
pub fn replay(journal: &Path) -> Result<Replayed, ProofError> {
    let failed = |error: &dyn std::fmt::Display| ProofError::Replay(error.to_string());
    let storage = DirectStorage::open(journal).map_err(|e| failed(&e))?;
    let meta = read_meta(&storage).map_err(|e| failed(&e))?;
    let mut replayer = Replayer::new(StateMachine::new(Capacity::default()));
    let mut reader = JournalReader::new(storage, &meta, ReadOptions::ALL);
    while let Some(batch) = reader.next_batch().map_err(|e| failed(&e))? {
        replayer
            .apply(&batch, &mut Unheard)
            .map_err(|e| failed(&e))?;
    }
    let Replayer {
        machine,
        batches,
        records,
        digests_compared,
        ..
    } = replayer;
    Ok(Replayed {
        machine,
        batches,
        records,
        digests_compared,
    })
}

/// Hash and sequence that `binary journal replay` finds in a data directory.
pub fn replay_apart(binary: &Path, data: &Path) -> Result<(String, u64), ProofError> {
    let failed = |what: String| ProofError::Replay(what);
    let output = Command::new(binary)
        .args(["journal", "replay", "--json"])
        .arg(data)
        .output()
        .map_err(|e| failed(e.to_string()))?;
    if !output.status.success() {
        return Err(failed(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    let found: serde_json::Value =
        serde_json::from_slice(&output.stdout).map_err(|e| failed(e.to_string()))?;
    match (found["state_hash"].as_str(), found["sequence"].as_u64()) {
        (Some(hash), Some(sequence)) => Ok((hash.to_owned(), sequence)),
        _ => Err(failed(format!("no state hash in {found}"))),
    }
}

/// The running node and the replay came to the same state.
pub fn compare_hashes(venue: Option<(String, u64)>, replayed: &Replayed) -> Result<(), ProofError> {
    let (hash, sequence) = venue.ok_or(ProofError::NoHash)?;
    let (replay, replay_sequence) = (replayed.hash(), replayed.sequence());
    if (&hash, sequence) == (&replay, replay_sequence) {
        return Ok(());
    }
    Err(ProofError::Hash {
        venue: hash,
        venue_sequence: sequence,
        replay,
        replay_sequence,
    })
}

/// What was compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Compared {
    pub sessions: u64,
    pub open_orders: u64,
    /// Numbered messages: each session's next number in the state is the one behind the last heard.
    pub messages: u64,
}

/// Side, price and open shares by UserRefNum and order reference.
type Open = BTreeMap<(u32, u64), (Side, Price, u32)>;

/// The state holds exactly what the clients were told: every open order with its terms, every session's
/// next number. Only when nothing is unanswered.
pub fn compare_sessions(flow: &Flow, machine: &StateMachine) -> Result<Compared, ProofError> {
    compare_traders(1, flow.traders().traders(), machine)
}

/// The same of any traders, the first of whom has session `first`.
pub fn compare_traders(
    first: u32,
    traders: &[Trader],
    machine: &StateMachine,
) -> Result<Compared, ProofError> {
    let mut compared = Compared::default();
    for (session, trader) in (first..).zip(traders) {
        let wrong = |what: String| Err(ProofError::Session { session, what });
        let Some(view) = machine.session(SessionId(session)) else {
            return wrong("is not in the state".to_owned());
        };
        let next = trader.memory().next_number();
        if view.next_outbound.0 != next {
            let state = view.next_outbound.0;
            return wrong(format!(
                "heard messages up to {next}, the state is at {state}"
            ));
        }
        let client: Open = trader
            .orders()
            .iter()
            .filter(|(_, order)| order.open > 0)
            .map(|(id, o)| {
                (
                    (id.user_ref, o.order_reference.0),
                    (o.side, o.price, o.open),
                )
            })
            .collect();
        let state: Open = machine
            .open_orders(SessionId(session))
            .map(|o| {
                let side = if o.side == b'B' {
                    Side::Buy
                } else {
                    Side::Sell
                };
                ((o.user_ref.number, o.reference.0), (side, o.price, o.open))
            })
            .collect();
        if client != state {
            return wrong(difference(&client, &state));
        }
        let last = machine.last_user_ref(SessionId(session), 0);
        if last >= trader.next_user_ref() {
            return wrong(format!(
                "UserRefNum {last} was used, the client did not get so far"
            ));
        }
        compared.sessions += 1;
        compared.open_orders += client.len() as u64;
        compared.messages += trader.memory().count();
    }
    Ok(compared)
}

/// The first order that differs.
fn difference(client: &Open, state: &Open) -> String {
    let lost = client
        .iter()
        .find(|(id, terms)| state.get(id) != Some(terms));
    let added = state
        .iter()
        .find(|(id, terms)| client.get(id) != Some(terms));
    format!(
        "{} open orders at the client, {} in the state; the client knows {lost:?}, the state has {added:?}",
        client.len(),
        state.len()
    )
}
