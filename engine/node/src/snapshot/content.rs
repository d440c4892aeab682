//! What is in a snapshot: the state image's sections, and how far each outbound stream had come.

use lockstep_core::image::{IMAGE_VERSION, ImageHash, ImageSink, LoadError, Section};
use lockstep_core::{Capacity, Counted, Part, StateMachine};
use lockstep_journal::snapshot::{
    self, SnapshotError, SnapshotFacts, SnapshotFile, SnapshotHeader, SnapshotWriter,
};
use lockstep_journal::storage::{Storage, StorageError};
use lockstep_journal::stream::StreamMarks;
use lockstep_journal::{ClusterId, Lineage, LogTail};
use lockstep_record::event::{Control, Delivery, Event, EventSink};
use lockstep_wire::ouch::{SEQUENCED_LENGTH_MAX, encode_sequenced};
use thiserror::Error;

/// Tag of the streams' section; the state image has those below.
pub const STREAMS_TAG: u32 = 16;

/// Keeps count of every outbound stream as the state machine speaks.
#[derive(Clone, Default, Debug)]
pub struct StreamMarkSink {
    pub marks: StreamMarks,
    /// Index of the batch that opened the day, or the last one; 0 = none has been opened.
    pub stream_index: u64,
    /// Index of the batch that is being applied.
    pub index: u64,
}

impl EventSink for StreamMarkSink {
    #[inline]
    fn deliver(&mut self, to: &Delivery, event: Event<'_>) {
        let mut packet = [0; SEQUENCED_LENGTH_MAX];
        let length = encode_sequenced(to, &event, &mut packet);
        // Sessions beyond what stream files can hold end the node elsewhere.
        if let Some(mark) = self.marks.of(to.session.0) {
            mark.append(&packet[..length]);
        }
    }

    fn control(&mut self, control: &Control) {
        // A day that is over is still given to who names it, until the next one opens.
        if let Control::DayOpened { session_name, .. } = control {
            self.marks.begin_day(session_name);
            self.stream_index = self.index;
        }
    }
}

/// Feeds the image to the file and to the hash; keeps the first failure, for an image cannot fail.
struct FileSink<S: Storage> {
    writer: SnapshotWriter<S>,
    hash: ImageHash,
    failure: Option<StorageError>,
}

impl<S: Storage> FileSink<S> {
    fn note(&mut self, result: Result<(), StorageError>) {
        if let Err(error) = result {
            self.failure.get_or_insert(error);
        }
    }
}

impl<S: Storage> ImageSink for FileSink<S> {
    fn section(&mut self, section: Section) {
        if self.failure.is_none() {
            self.hash.section(section);
            let result = self.writer.section(section as u32);
            self.note(result);
        }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        if self.failure.is_none() {
            self.hash.bytes(bytes);
            let result = self.writer.bytes(bytes);
            self.note(result);
        }
    }
}

/// Writes the snapshot of a state that stands behind `tail`; on the medium when this returns.
pub fn save<S: Storage>(
    storage: &S,
    machine: &StateMachine,
    streams: &StreamMarkSink,
    tail: &LogTail,
    (cluster_id, lineage): (ClusterId, Lineage),
) -> Result<SnapshotHeader, StorageError> {
    assert_eq!(tail.index, machine.last_index().0, "one place in the log");
    let mut sink = FileSink {
        writer: SnapshotWriter::create(storage, tail.index)?,
        hash: ImageHash::default(),
        failure: None,
    };
    machine.write_image(&mut sink);
    let FileSink {
        mut writer,
        hash,
        failure,
    } = sink;
    if let Some(error) = failure {
        return Err(error);
    }
    writer.section(STREAMS_TAG)?;
    writer.bytes(&streams.marks.encode())?;
    writer.finish(&SnapshotFacts {
        cluster_id,
        lineage,
        tail: *tail,
        digest: machine.digest(),
        feature_set_version: machine.features().set_version,
        image_version: IMAGE_VERSION,
        state_hash: hash.finish(),
        engine_version: env!("CARGO_PKG_VERSION").to_owned(),
        stream_index: streams.stream_index,
    })
}

/// Why a snapshot does not serve.
#[derive(Clone, PartialEq, Debug, Error)]
pub enum Unusable {
    #[error(transparent)]
    File(#[from] SnapshotError),
    #[error("{name}: {source}")]
    Image { name: String, source: LoadError },
    #[error("{name}: the state's hash is not the one in its header")]
    Hash { name: String },
    #[error("{name}: {what} in its state is not what its header says")]
    Facts { name: String, what: &'static str },
    #[error("{name}: its section of streams is malformed")]
    Streams { name: String },
    #[error("{name}: stream file of session {session} does not have what the session was sent")]
    StreamFile { name: String, session: u32 },
}

/// A state from a snapshot.
#[derive(Debug)]
pub struct LoadedSnapshot {
    pub machine: StateMachine,
    pub streams: StreamMarkSink,
    pub header: SnapshotHeader,
}

/// Verifies a snapshot and makes its state. The hash is computed on another thread meanwhile.
pub fn load(file: &SnapshotFile, capacity: Capacity) -> Result<LoadedSnapshot, Unusable> {
    file.verify()?;
    let name = || file.name().to_owned();
    let sections: Vec<(Section, &[u8])> = file
        .sections()
        .filter_map(|(tag, bytes)| Some((Section::from_u32(tag)?, bytes)))
        .collect();
    let (machine, hash) = std::thread::scope(|scope| {
        let hash = scope.spawn(|| image_hash(&sections));
        let machine = StateMachine::load_image_with(capacity, &sections, both_at_once);
        (machine, hash.join())
    });
    let machine = machine.map_err(|source| Unusable::Image {
        name: name(),
        source,
    })?;
    let header = file.header().clone();
    if !hash.is_ok_and(|hash| hash == header.facts.state_hash) {
        return Err(Unusable::Hash { name: name() });
    }
    if let Some(what) = contradiction(&machine, &header) {
        return Err(Unusable::Facts { name: name(), what });
    }
    let marks = file.section(STREAMS_TAG).and_then(StreamMarks::decode);
    let marks = marks.filter(|marks| agree(marks, &machine));
    let Some(marks) = marks else {
        return Err(Unusable::Streams { name: name() });
    };
    let streams = StreamMarkSink {
        marks,
        stream_index: header.facts.stream_index,
        index: header.facts.tail.index,
    };
    Ok(LoadedSnapshot {
        machine,
        streams,
        header,
    })
}

fn both_at_once(one: Part<'_>, other: Part<'_>) -> (Counted, Counted) {
    std::thread::scope(|scope| {
        let one = scope.spawn(one);
        let other = other();
        match one.join() {
            Ok(one) => (one, other),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

fn image_hash(sections: &[(Section, &[u8])]) -> [u8; 32] {
    let mut hash = ImageHash::default();
    for (section, bytes) in sections {
        hash.section(*section);
        hash.bytes(bytes);
    }
    hash.finish()
}

fn contradiction(machine: &StateMachine, header: &SnapshotHeader) -> Option<&'static str> {
    let (facts, tail) = (&header.facts, &header.facts.tail);
    let rows = [
        (machine.last_index().0 == tail.index, "index"),
        (machine.last_term().0 == tail.term, "term"),
        (
            machine.last_sequence().0.checked_add(1) == Some(tail.next_sequence),
            "sequence",
        ),
        (machine.last_timestamp().0 == tail.timestamp, "timestamp"),
        (machine.digest() == facts.digest, "digest"),
        (
            machine.features().set_version == facts.feature_set_version,
            "feature set",
        ),
        (
            !machine.day().open || facts.stream_index != 0,
            "trading day",
        ),
    ];
    rows.into_iter().find(|(same, _)| !same).map(|row| row.1)
}

/// Each stream's mark and the number that the state gives its next message.
fn agree(marks: &StreamMarks, machine: &StateMachine) -> bool {
    let known = |session: u32| {
        machine
            .session(lockstep_record::SessionId(session))
            .is_some()
    };
    let mut marks_of = marks.clone();
    let all_known = marks.iter().all(|(session, _)| known(session));
    let same = |session: lockstep_core::inspect::SessionView| {
        let sent = marks_of
            .of(session.session.0)
            .map_or(0, |mark| mark.packets);
        session.next_outbound.0 == sent + 1
    };
    let day = machine.day();
    let name_is_same = day.session_name == *marks.session_name();
    // Of a log without a day yet, or by a version that kept none of a day that is over.
    let none_kept = marks.iter().next().is_none() && *marks.session_name() == [0; 10];
    all_known && ((none_kept && !day.open) || (name_is_same && machine.sessions().all(same)))
}

/// The newest snapshot that serves, for those who do not need stream files; `report` hears of the others.
pub fn open_newest<S: Storage>(
    storage: &S,
    cluster_id: ClusterId,
    capacity: Capacity,
    report: &mut dyn FnMut(&Unusable),
) -> Result<Option<LoadedSnapshot>, StorageError> {
    for index in snapshot::list(storage)?.into_iter().rev() {
        let file = SnapshotFile::open(storage, index, cluster_id).map_err(Unusable::from);
        match file.and_then(|file| load(&file, capacity)) {
            Ok(loaded) => return Ok(Some(loaded)),
            Err(unusable) => report(&unusable),
        }
    }
    Ok(None)
}
