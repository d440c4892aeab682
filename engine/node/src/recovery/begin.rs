//! Where replay begins: behind the newest snapshot that serves, or at the log's begin
//! (docs/journal-format.md, rows R21 to R27).

use crate::fatal::{ExitCode, Fatal};
use crate::journal::storage_fatal;
use crate::replay::Replayer;
use crate::snapshot::{LoadedSnapshot, STREAMS_TAG, Unusable, load};
use crate::streams::DayStreams;
use lockstep_core::{Capacity, StateMachine};
use lockstep_journal::folder::JournalMeta;
use lockstep_journal::segment::segment_number;
use lockstep_journal::snapshot::{self, SnapshotError, SnapshotFile};
use lockstep_journal::storage::Storage;
use lockstep_journal::stream::StreamMarks;
use lockstep_journal::{HeaderBlockError, LogTail};

/// What replay begins with.
#[derive(Debug)]
pub(super) struct Begin {
    pub replayer: Replayer,
    pub from: LogTail,
    /// Highest batch index that a whole snapshot header proves; 0 = none.
    pub witness_index: u64,
}

/// Chooses, loads, and cuts the day's stream files where the chosen snapshot says. The caller holds the lock.
pub(super) fn begin<S: Storage>(
    storage: &S,
    meta: &JournalMeta,
    streams: &mut DayStreams,
    report: &dyn Fn(&str),
) -> Result<Begin, Fatal> {
    let first = first_segment(storage)?;
    let (mut witness_index, mut newer) = (0, None);
    let indices = snapshot::list(storage).map_err(|e| storage_fatal(&e))?;
    for index in indices.into_iter().rev() {
        let opened = SnapshotFile::open(storage, index, meta.cluster_id);
        if let Ok(file) = &opened {
            witness_index = witness_index.max(file.header().facts.tail.index);
            let needed = file.header().facts.tail.position;
            let needed = needed.segment(meta.segment_data_length);
            if first.is_some_and(|first| needed < first) {
                report(&format!(
                    "recovery: {}: its log is not there (segment {needed})",
                    file.name()
                ));
                continue;
            }
        }
        let fitting = match opened {
            // Looked at first: it costs little beside loading.
            Ok(file) => lacking_stream(streams, &file)?.map_or(Ok(file), Err),
            Err(error) => Err(error.into()),
        };
        let loaded = fitting.and_then(|file| load(&file, Capacity::default()));
        match loaded.map(|loaded| resume_streams(streams, loaded)) {
            Ok(Ok(Ok(loaded))) => return Ok(behind(loaded, witness_index, report)),
            Ok(Ok(Err(unusable))) | Err(unusable) => {
                newer = newer.or(newer_format(&unusable));
                report(&format!("recovery: {unusable}; trying an older one"));
            }
            Ok(Err(fatal)) => return Err(fatal),
        }
    }
    at_the_begin(first, meta, witness_index, newer)
}

fn behind(loaded: LoadedSnapshot, witness_index: u64, report: &dyn Fn(&str)) -> Begin {
    let facts = &loaded.header.facts;
    report(&format!(
        "recovery: from the snapshot behind batch {}, record {}, by version {}",
        facts.tail.index,
        facts.tail.next_sequence - 1,
        facts.engine_version,
    ));
    Begin {
        from: facts.tail,
        replayer: Replayer::behind_snapshot(loaded.machine),
        witness_index,
    }
}

/// Row R24: what was trimmed cannot be replayed.
fn at_the_begin(
    first: Option<u64>,
    meta: &JournalMeta,
    witness_index: u64,
    newer: Option<Unusable>,
) -> Result<Begin, Fatal> {
    if let Some(first) = first.filter(|first| *first > 0) {
        if let Some(newer) = newer {
            let what = format!("{newer}, and no other snapshot serves");
            return Err(Fatal::new(ExitCode::NewerFormat, what));
        }
        let what = format!(
            "no snapshot serves, and the log begins only with segment {first} (position {}): restore \
             snapshots, or the segments from 0, from the archive",
            first * meta.segment_data_length
        );
        return Err(Fatal::new(ExitCode::JournalDamaged, what));
    }
    Ok(Begin {
        replayer: Replayer::new(StateMachine::new(Capacity::default())),
        from: LogTail::EMPTY,
        witness_index,
    })
}

fn newer_format(unusable: &Unusable) -> Option<Unusable> {
    let Unusable::File(SnapshotError::Header { source, .. }) = unusable else {
        return None;
    };
    matches!(source, HeaderBlockError::NewerFormat { .. }).then(|| unusable.clone())
}

/// Row R27, as far as the snapshot's streams can be read; what is damaged shows when it is loaded.
fn lacking_stream(streams: &DayStreams, file: &SnapshotFile) -> Result<Option<Unusable>, Fatal> {
    let marks = file.section(STREAMS_TAG).and_then(StreamMarks::decode);
    let Some(marks) = marks.filter(|_| file.header().facts.stream_index != 0) else {
        return Ok(None);
    };
    let lacking = streams.lacking(&marks)?;
    let name = || file.name().to_owned();
    Ok(lacking.map(|session| Unusable::StreamFile {
        name: name(),
        session,
    }))
}

fn resume_streams(
    streams: &mut DayStreams,
    loaded: LoadedSnapshot,
) -> Result<Result<LoadedSnapshot, Unusable>, Fatal> {
    if loaded.header.facts.stream_index == 0 {
        // No day has been opened: nobody was sent anything.
        return Ok(Ok(loaded));
    }
    Ok(match streams.resume(&loaded.streams.marks)? {
        None => Ok(loaded),
        Some(session) => Err(Unusable::StreamFile {
            name: snapshot::snapshot_name(loaded.header.facts.tail.index),
            session,
        }),
    })
}

fn first_segment<S: Storage>(storage: &S) -> Result<Option<u64>, Fatal> {
    let names = storage.list().map_err(|e| storage_fatal(&e))?;
    Ok(names.iter().filter_map(|name| segment_number(name)).min())
}
