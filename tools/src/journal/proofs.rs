//! What stands beside the log and proves it: snapshots and seals, checked by `verify`.

use super::finding::Finding;
use super::folder::Opened;
use super::output::Failure;
use clap::Args;
use lockstep_core::Capacity;
use lockstep_journal::seal::{
    Hash, Seal, SealError, SealKey, SealKind, SealReport, hash_text, verify_seals,
};
use lockstep_journal::snapshot::SnapshotFile;
use lockstep_node::fatal::ExitCode;
use lockstep_node::journal::storage_code;
use lockstep_node::snapshot::{Unusable, load};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

#[derive(Args)]
pub struct ProofArguments {
    /// File of the key that the seals were made with
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// File with seals printed by an earlier run (`last seal`): the chains must contain them
    #[arg(long, value_name = "FILE")]
    anchors: Option<PathBuf>,
}

/// What was checked.
#[derive(Default)]
pub struct Proofs {
    pub snapshots: u64,
    pub seals: Vec<SealReport>,
    pub findings: Vec<Finding>,
}

impl Proofs {
    pub fn check(opened: &Opened, arguments: &ProofArguments) -> Result<Self, Failure> {
        let mut proofs = Self::default();
        proofs.check_snapshots(opened)?;
        proofs.check_seals(opened, arguments)?;
        Ok(proofs)
    }

    /// Each one loaded: sections, state hash, and that it is of the place its header says.
    fn check_snapshots(&mut self, opened: &Opened) -> Result<(), Failure> {
        for seen in &opened.snapshots {
            let file = SnapshotFile::open(&opened.storage, seen.index, opened.meta.cluster_id);
            let loaded = file
                .map_err(Unusable::from)
                .and_then(|file| load(&file, Capacity::default()));
            match loaded {
                Ok(_) => self.snapshots += 1,
                Err(Unusable::File(lockstep_journal::snapshot::SnapshotError::Storage(error))) => {
                    return Err(Failure::new(storage_code(&error), error.to_string()));
                }
                Err(unusable) => {
                    let mut finding = Finding::damage("snapshot", unusable.to_string()).row("R22");
                    finding.index = Some(seen.index);
                    self.findings.push(finding);
                }
            }
        }
        Ok(())
    }

    fn check_seals(&mut self, opened: &Opened, arguments: &ProofArguments) -> Result<(), Failure> {
        let key = arguments.key.as_deref().map(read_key).transpose()?;
        let anchors = arguments.anchors.as_deref().map(read_anchors);
        let anchors = anchors.transpose()?.unwrap_or_default();
        for kind in SealKind::ALL {
            let of_kind = |anchor: &&(SealKind, u64, Hash)| anchor.0 == kind;
            let mut asked: Vec<Option<(u64, Hash)>> = anchors
                .iter()
                .filter(of_kind)
                .map(|a| Some((a.1, a.2)))
                .collect();
            if asked.is_empty() {
                asked.push(None);
            }
            for anchor in asked {
                let report =
                    verify_seals(&opened.storage, &opened.meta, kind, key.as_ref(), anchor);
                match report {
                    Ok(report) => self.take(kind, report),
                    Err(SealError::Storage(error)) => {
                        return Err(Failure::new(storage_code(&error), error.to_string()));
                    }
                    Err(error) => self
                        .findings
                        .push(Finding::damage("seal", error.to_string())),
                }
            }
        }
        Ok(())
    }

    fn take(&mut self, kind: SealKind, report: SealReport) {
        for found in &report.findings {
            let what = format!("{} {}: {}", kind.name(), found.number, found.fault);
            let mut finding = if found.fault.is_damage() {
                Finding::damage("seal", what)
            } else {
                Finding::note("sealed_absent", what)
            };
            match kind {
                SealKind::Segment => finding.segment = Some(found.number),
                SealKind::Snapshot => finding.index = Some(found.number),
            }
            self.findings.push(finding);
        }
        if !self.seals.iter().any(|known| known.kind == kind) {
            self.seals.push(report);
        }
    }

    /// The newest seal of each chain: whoever keeps such a line can later prove that nothing before it was
    /// changed.
    pub fn last_seals(&self) -> impl Iterator<Item = &Seal> {
        self.seals.iter().filter_map(|report| report.last.as_ref())
    }

    pub fn to_json(&self) -> Value {
        let seals = self.seals.iter().map(|report| {
            json!({
                "kind": report.kind.name(),
                "count": report.seal_count,
                "contents": report.content_count,
                "last": report.last.as_ref().map(Seal::to_string),
                "chain": report.last.as_ref().map(|last| hash_text(&last.chain)),
            })
        });
        json!(seals.collect::<Vec<_>>())
    }
}

fn read_key(path: &Path) -> Result<SealKey, Failure> {
    let wrong = |what: String| {
        Failure::new(
            ExitCode::Configuration,
            format!("{}: {what}", path.display()),
        )
    };
    let bytes = fs::read(path).map_err(|error| wrong(error.to_string()))?;
    SealKey::new(&bytes).map_err(|error| wrong(error.to_string()))
}

fn read_anchors(path: &Path) -> Result<Vec<(SealKind, u64, Hash)>, Failure> {
    let wrong = |what: String| {
        Failure::new(
            ExitCode::Configuration,
            format!("{}: {what}", path.display()),
        )
    };
    let text = fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines
        .map(|line| {
            let parsed = Seal::parse_line(line.trim());
            let (kind, ordinal, _, chain, _) =
                parsed.ok_or_else(|| wrong(format!("`{line}` is no seal")))?;
            Ok((kind, ordinal, chain))
        })
        .collect()
}
