//! Archives and trims behind a running journal: one file a duty cycle, on a helper thread.

use super::retention::{Retention, TrimPlan, plan};
use super::{Archive, ArchiveError, ArchiveKind};
use crate::folder::JournalMeta;
use crate::segment::segment_number;
use crate::snapshot::{self, SnapshotFacts, SnapshotFile};
use crate::storage::{Storage, StorageError};
use std::collections::BTreeMap;

/// One file that went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Kept {
    pub kind: ArchiveKind,
    pub number: u64,
    pub stored_length: u64,
}

/// An agent without a thread; it blocks on both disks.
#[derive(Debug)]
pub struct Keeper<S: Storage, A: Storage> {
    storage: S,
    meta: JournalMeta,
    archive: Archive<A>,
    retention: Retention,
    /// Of snapshots that were verified; `None`: damaged.
    known: BTreeMap<u64, Option<SnapshotFacts>>,
}

impl<S: Storage, A: Storage> Keeper<S, A> {
    pub fn new(storage: &S, meta: &JournalMeta, archive: Archive<A>, retention: Retention) -> Self {
        Self {
            storage: storage.clone(),
            meta: *meta,
            archive,
            retention,
            known: BTreeMap::new(),
        }
    }

    pub fn archive(&self) -> &Archive<A> {
        &self.archive
    }

    /// Archives and removes one file that is not needed any more; `None` if there is none. Segments from
    /// `sealed_segments` and snapshots above `sealed_snapshots` stay (both `u64::MAX` if nothing is sealed).
    pub fn do_work(
        &mut self,
        now_ns: u64,
        sealed_segments: u64,
        sealed_snapshots: u64,
    ) -> Result<Option<Kept>, ArchiveError> {
        let plan = self.plan(now_ns)?;
        let snapshot = plan
            .snapshots
            .iter()
            .find(|index| **index <= sealed_snapshots);
        if let Some(index) = snapshot {
            return self.remove(ArchiveKind::Snapshot, *index).map(Some);
        }
        let names = self.storage.list()?;
        let first = names.iter().filter_map(|name| segment_number(name)).min();
        let before = plan.segments_before.min(sealed_segments);
        match first.filter(|first| *first < before) {
            Some(number) => self.remove(ArchiveKind::Segment, number).map(Some),
            None => Ok(None),
        }
    }

    /// What may go now.
    pub fn plan(&mut self, now_ns: u64) -> Result<TrimPlan, StorageError> {
        let indices = snapshot::list(&self.storage)?;
        self.known.retain(|index, _| indices.contains(index));
        for index in indices {
            if !self.known.contains_key(&index) {
                let facts = self.verified(index)?;
                self.known.insert(index, facts);
            }
        }
        let whole: Vec<_> = self.known.values().flatten().cloned().collect();
        let length = self.meta.segment_data_length;
        Ok(plan(&whole, self.retention, now_ns, length))
    }

    fn verified(&self, index: u64) -> Result<Option<SnapshotFacts>, StorageError> {
        let file = SnapshotFile::open(&self.storage, index, self.meta.cluster_id);
        match file.and_then(|file| file.verify().map(|()| file.header().facts.clone())) {
            Ok(facts) => Ok(Some(facts)),
            Err(snapshot::SnapshotError::Storage(error)) => Err(error),
            Err(_) => Ok(None),
        }
    }

    fn remove(&mut self, kind: ArchiveKind, number: u64) -> Result<Kept, ArchiveError> {
        let entry = self.archive.add(&self.storage, kind, number)?;
        self.storage.delete(&entry.name())?;
        self.storage.sync_folder()?;
        Ok(Kept {
            kind,
            number,
            stored_length: entry.stored_length,
        })
    }
}
