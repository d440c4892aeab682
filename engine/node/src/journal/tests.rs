use super::*;
use crate::counters::read_counter;
use lockstep_journal::folder::{FormatOptions, OpenOptions, format};
use lockstep_journal::journal::{Journal, StartOptions};
use lockstep_journal::storage::DirectStorage;
use lockstep_journal::{ClusterId, JournalId, Lineage, LogTail, SealFields};
use lockstep_record::command::DayClose;

const SEGMENT_LENGTH: u64 = 1 << 20;
const NOW: Now = Now { monotonic_ns: 0 };

/// At the highest rate a venue stood still for one to three seconds: its next segment was not there, and no
/// counter said so.
#[test]
fn waiting_for_a_segment_is_counted_and_ends_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let storage = DirectStorage::create(&folder.path().join("journal")).unwrap();
    let options = FormatOptions {
        cluster_id: ClusterId([1; 16]),
        journal_id: JournalId([2; 16]),
        lineage: Lineage([3; 16]),
        segment_data_length: SEGMENT_LENGTH,
        created: 4,
    };
    format(&storage, &options).unwrap();
    let start = StartOptions {
        open: OpenOptions {
            policy: AcknowledgementPolicy::Durable,
            allow_volatile: true,
        },
        log_buffer_path: Some(folder.path().join("buffer")),
        ring_length: SEGMENT_LENGTH,
        from: LogTail::EMPTY,
        witness_index: 0,
    };
    let journal = Journal::open(&storage, &start).unwrap();
    let buffer = Arc::clone(&journal.buffer);
    let mut appender = buffer.appender(journal.folder.meta().lineage).unwrap();
    let mut preparer = journal.preparer();
    let path = folder.path().join("counters");
    let counters = Counters::create(&path).unwrap();
    let stalls = || read_counter(&path, CounterId::JournalStalls).unwrap();
    let policy = AcknowledgePolicy::Durable;
    let mut agent = JournalAgent::new(journal.writer(), Arc::clone(&buffer), policy, &counters);
    let record = crate::operator::record(&DayClose { _reserved: 0 }, &[], "test");
    let body = record.repeat(1000);

    // More than the only segment takes.
    while stalls() == 0 {
        if appender.begin(body.len()).is_ok() {
            for record in body.chunks(record.len()) {
                appender.push(record).unwrap();
            }
            let tail = *appender.tail();
            appender.seal(&SealFields {
                kind: 1,
                term: 1,
                index: tail.index + 1,
                first_sequence: tail.next_sequence,
                timestamp: tail.timestamp + 1,
                commit_index: tail.index,
                digest_index: 0,
                digest: 0,
                feature_set_version: 0,
            });
        }
        agent.do_work(NOW).unwrap();
        let durable = buffer.durable_position();
        assert!(durable.0 <= SEGMENT_LENGTH, "written where no segment is");
    }
    let said = agent.awaits();
    assert!(
        said.ends_with(" bytes to write, 0 writes in flight"),
        "{said}"
    );
    assert!(!said.contains(" 0 bytes"), "{said}");
    while preparer.do_work() > 0 {}
    let waited = stalls();
    while buffer.durable_position() < buffer.published_position() {
        agent.do_work(NOW).unwrap();
    }
    assert!(buffer.durable_position().0 > SEGMENT_LENGTH);
    assert_eq!(stalls(), waited);
    let nothing = "the disk: 0 bytes to write, 0 writes in flight";
    assert_eq!(agent.awaits(), nothing);
}
