//! What may be trimmed: a pure decision over the whole snapshots of a folder.

use crate::snapshot::SnapshotFacts;

/// What is kept beside what is needed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Retention {
    /// Newest snapshots; 0 counts as 1.
    pub keep: u32,
    /// Snapshots younger than this, by their log time, ns.
    pub keep_ns: u64,
}

/// What may go.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct TrimPlan {
    /// Indices of snapshots, ascending.
    pub snapshots: Vec<u64>,
    /// Segments below this number.
    pub segments_before: u64,
}

/// `snapshots`: facts of those that verify, ascending by index; others do not count as kept, and are left alone.
/// `now_ns`: ns since the Unix epoch.
pub fn plan(
    snapshots: &[SnapshotFacts],
    retention: Retention,
    now_ns: u64,
    segment_data_length: u64,
) -> TrimPlan {
    let Some(newest) = snapshots.last() else {
        return TrimPlan::default();
    };
    // Streams of an open day are made again by a replay that begins before the day opened.
    let opened = newest.stream_index;
    let before_day = |facts: &&SnapshotFacts| facts.tail.index < opened;
    let before_day = snapshots.iter().rev().find(before_day);
    let keep = (retention.keep.max(1) as usize).min(snapshots.len());
    let first_by_count = snapshots.len() - keep;
    let is_kept = |(at, facts): &(usize, &SnapshotFacts)| {
        let age_ns = now_ns.saturating_sub(facts.tail.timestamp);
        *at >= first_by_count
            || age_ns < retention.keep_ns
            || before_day.is_some_and(|needed| needed.tail.index == facts.tail.index)
    };
    let (kept, gone): (Vec<_>, Vec<_>) = snapshots.iter().enumerate().partition(is_kept);
    let needs_begin = opened != 0 && before_day.is_none();
    let oldest = kept.iter().map(|(_, facts)| facts.tail.position).min();
    TrimPlan {
        snapshots: gone.iter().map(|(_, facts)| facts.tail.index).collect(),
        segments_before: match oldest {
            Some(position) if !needs_begin => position.segment(segment_data_length),
            _ => 0,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Checksum, ClusterId, Lineage, LogPosition, LogTail};

    const LENGTH: u64 = 8192;

    /// Snapshot behind batch `index`, which ends in the middle of segment `index`; made at second `index`.
    fn facts(index: u64, stream_index: u64) -> SnapshotFacts {
        SnapshotFacts {
            cluster_id: ClusterId([1; 16]),
            lineage: Lineage([3; 16]),
            tail: LogTail {
                position: LogPosition(index * LENGTH + 4096),
                index,
                term: 1,
                next_sequence: index,
                timestamp: index * 1_000_000_000,
                header_checksum: Checksum([9; 16]),
            },
            digest: 0,
            feature_set_version: 0,
            image_version: 2,
            state_hash: [0; 32],
            engine_version: String::new(),
            stream_index,
        }
    }

    fn check(snapshots: &[(u64, u64)], keep: u32, keep_s: u64, gone: &[u64], before: u64) {
        let snapshots: Vec<_> = snapshots.iter().map(|(i, s)| facts(*i, *s)).collect();
        let retention = Retention {
            keep,
            keep_ns: keep_s * 1_000_000_000,
        };
        let plan = plan(&snapshots, retention, 100 * 1_000_000_000, LENGTH);
        let wanted = TrimPlan {
            snapshots: gone.to_vec(),
            segments_before: before,
        };
        assert_eq!(plan, wanted, "{snapshots:?}");
    }

    #[test]
    fn rules_of_trimming() {
        check(&[], 2, 0, &[], 0);
        // No day is open: only count and age speak.
        check(&[(10, 0), (20, 0), (30, 0)], 2, 0, &[10], 20);
        check(&[(10, 0), (20, 0), (30, 0)], 0, 0, &[10, 20], 30);
        check(&[(10, 0), (20, 0), (30, 0)], 9, 0, &[], 10);
        check(&[(10, 0), (20, 0), (30, 0)], 1, 85, &[10], 20);
        // The day opened at batch 15: what was before it is needed for its streams.
        check(&[(5, 0), (10, 0), (20, 15), (30, 15)], 1, 0, &[5, 20], 10);
        // … or the log's begin, if there is no such snapshot.
        check(&[(20, 15), (30, 15)], 1, 0, &[20], 0);
        // A snapshot of the day before counts, too; the batch that opened the day does not.
        check(&[(10, 2), (15, 15), (30, 15)], 1, 0, &[15], 10);
    }
}
