//! The definitions file against the state: what differs, as records; and, if wanted, put through the log.

use super::asked::AskedState;
use super::commands::{kind_name, kind_of};
use super::protocol::{Applied, Commanded, Fate, Problem, ProblemCode};
use super::server::Office;
use super::views;
use crate::config::Config;
use crate::definitions::{self, Proposal};
use lockstep_record::Kind;

impl Office {
    /// Reads the file again; shows what of its definitions the state lacks, or applies it, and takes the
    /// passwords over.
    pub fn reload(&mut self, apply: bool, identity: &str) -> Result<Commanded, Problem> {
        let wanted = self.read_file()?;
        let mut proposals = self.difference(&wanted)?;
        let mut answer = Commanded {
            records: Vec::new(),
            restart_needed: restart_needed(&self.config, &wanted),
        };
        // Rings, tables and files were sized at the start, and memory is not taken while matching.
        let before = proposals.len();
        let sizes = [Kind::SET_BOUNDS, Kind::SET_RISK_BOUNDS];
        proposals.retain(|proposal| !sizes.contains(&kind_of(&proposal.record)));
        if proposals.len() != before {
            answer.restart_needed.push("bounds".to_owned());
        }
        if !apply {
            answer.records = proposals.into_iter().map(proposed).collect();
            return Ok(answer);
        }
        let (records, changes): (Vec<_>, Vec<_>) = proposals
            .into_iter()
            .map(|proposal| (proposal.record, proposal.changes))
            .unzip();
        answer.records = self.apply(&records, identity);
        for (applied, changes) in answer.records.iter_mut().zip(changes) {
            applied.changes = changes;
        }
        // Firms, sessions and instruments count from now on; the rest of the file from the next start.
        let credentials = crate::auth::credentials(&wanted)
            .map_err(|e| Problem::new(ProblemCode::Configuration, e.message))?;
        self.passwords.replace(credentials);
        self.config.firms = wanted.firms;
        self.config.sessions = wanted.sessions;
        self.config.instruments = wanted.instruments;
        Ok(answer)
    }

    fn read_file(&self) -> Result<Config, Problem> {
        let problem = |what: String| Problem::new(ProblemCode::Configuration, what);
        let Some(path) = &self.config.file else {
            return Err(problem("the node was not started from a file".into()));
        };
        Config::load(path).map_err(|e| problem(e.message))
    }

    fn difference(&self, wanted: &Config) -> Result<Vec<Proposal>, Problem> {
        let state = AskedState::new(&self.inquiries);
        let proposals = definitions::explained_proposals(wanted, &state);
        if state.has_failed() {
            return Err(views::timed_out());
        }
        Ok(proposals)
    }
}

/// Sections of the file that only a start reads, as far as they differ from what this process runs with.
fn restart_needed(running: &Config, wanted: &Config) -> Vec<String> {
    let sections = [
        ("data", running.data != wanted.data),
        ("acknowledge", running.acknowledge != wanted.acknowledge),
        ("network", running.network != wanted.network),
        ("journal", running.journal != wanted.journal),
        ("day", running.day != wanted.day),
        ("snapshot", running.snapshot != wanted.snapshot),
        ("seal", running.seal != wanted.seal),
        ("archive", running.archive != wanted.archive),
        ("admin", running.admin != wanted.admin),
        ("logins", running.logins != wanted.logins),
        ("thread", running.threads != wanted.threads),
    ];
    let changed = sections.iter().filter(|(_, differs)| *differs);
    changed.map(|(name, _)| (*name).to_owned()).collect()
}

fn proposed(proposal: Proposal) -> Applied {
    Applied {
        kind: kind_name(&proposal.record),
        sequence: 0,
        outcome: Fate::Proposed,
        reason: None,
        changes: proposal.changes,
        record: hex(&proposal.record),
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
