//! Trial 1: `kill -9` at any moment. A child process journals and says what it has acknowledged; the parent
//! kills it, recovers, and compares with what it was told. The record of acknowledgements is the parent's.

use lockstep_journal::folder::{AcknowledgementPolicy, FormatOptions, OpenOptions, format};
use lockstep_journal::recovery::Finding;
use lockstep_journal::storage::DirectStorage;
use lockstep_journal::{Journal, LogTail, RING_LENGTH_MIN, SealFields, StartOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::TempDir;

const FOLDER: &str = "LOCKSTEP_TEST_JOURNAL";
const RING: &str = "LOCKSTEP_TEST_RING";
const POLICY: &str = "LOCKSTEP_TEST_POLICY";
const CYCLES: u64 = 3;

fn start_options(policy: AcknowledgementPolicy, ring: PathBuf) -> StartOptions {
    StartOptions {
        // The build's folder may be in memory; what is tested is the death of a process.
        open: OpenOptions {
            policy,
            allow_volatile: true,
        },
        log_buffer_path: Some(ring),
        ring_length: RING_LENGTH_MIN,
        from: LogTail::EMPTY,
        witness_index: 0,
    }
}

/// What record `index` holds: anybody can compute it.
fn body(index: u64) -> Vec<u8> {
    let words = index.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 200;
    (0..words)
        .flat_map(|word| (index ^ (word << 32)).to_le_bytes())
        .collect()
}

fn fields(tail: &LogTail, term: u64, kind: u8) -> SealFields {
    SealFields {
        kind,
        term,
        index: tail.index + 1,
        first_sequence: tail.next_sequence,
        timestamp: tail.timestamp + 1,
        commit_index: tail.index.saturating_sub(1),
        digest_index: 0,
        digest: 0,
        feature_set_version: 0,
    }
}

/// The child: journals for ever, acknowledging on standard output by the policy's rule.
#[test]
#[ignore = "run as a child process by the other tests"]
fn journaling_child() {
    let variable = |name| std::env::var_os(name).expect("run by the parent test");
    let policy = match variable(POLICY).to_str() {
        Some("durable") => AcknowledgementPolicy::Durable,
        _ => AcknowledgementPolicy::Local,
    };
    let storage = DirectStorage::open(Path::new(&variable(FOLDER))).unwrap();
    let options = start_options(policy, PathBuf::from(variable(RING)));
    let mut journal = Journal::open(&storage, &options).unwrap();
    let term = journal.begin_term().unwrap();
    let mut appender = journal
        .buffer
        .appender(journal.folder.meta().lineage)
        .unwrap();
    let (mut writer, mut preparer) = (journal.writer(), journal.preparer());
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                if preparer.do_work() == 0 {
                    std::thread::sleep(std::time::Duration::from_micros(200));
                }
            }
        });
        let mut out = std::io::stdout();
        loop {
            let body = body(appender.tail().index + 1);
            while appender.begin(body.len()).is_err() {
                writer.do_work().unwrap();
            }
            appender.push(&body).unwrap();
            let published = appender.seal(&fields(&appender.tail().clone(), term, 1));
            writer.do_work().unwrap();
            while policy == AcknowledgementPolicy::Durable
                && journal.buffer.durable_position() < published.end()
            {
                writer.do_work().unwrap();
            }
            writeln!(out, "ack {}", published.index).unwrap();
        }
    });
}

struct Place {
    folder: TempDir,
    ring: TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self {
            folder: tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap(),
            ring: tempfile::tempdir_in("/dev/shm")
                .or_else(|_| tempfile::tempdir())
                .unwrap(),
        };
        let options = FormatOptions {
            segment_data_length: 128 << 10,
            ..FormatOptions::new_cluster(0).unwrap()
        };
        format(&place.storage(), &options).unwrap();
        place
    }

    fn storage(&self) -> DirectStorage {
        DirectStorage::open(self.folder.path()).unwrap()
    }

    fn ring(&self) -> PathBuf {
        self.ring.path().join("log")
    }

    /// Runs a child until it has acknowledged `count` batches, kills it, and says what it acknowledged last.
    fn run_and_kill(&self, policy: &str, count: u64) -> u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--ignored", "--nocapture", "journaling_child"])
            .env(FOLDER, self.folder.path())
            .env(RING, self.ring())
            .env(POLICY, policy)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (mut seen, mut last) = (0, 0);
        for line in lines.map_while(Result::ok) {
            let Some(index) = line.strip_prefix("ack ").and_then(|text| text.parse().ok()) else {
                continue;
            };
            last = index;
            seen += 1;
            if seen == count {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(
            seen >= count,
            "the child acknowledged only {seen} of {count}"
        );
        last
    }

    /// Recovers as the policy's node would, and reads everything back.
    fn recover(&self, policy: AcknowledgementPolicy) -> Journal<DirectStorage> {
        let journal = Journal::open(&self.storage(), &start_options(policy, self.ring())).unwrap();
        let mut reader = journal.reader(LogTail::EMPTY);
        let mut index = 0;
        while let Some(batch) = reader.next_batch().unwrap() {
            index += 1;
            assert_eq!(batch.header.index, index, "unbroken");
            assert_eq!(
                batch.header.first_sequence, index,
                "one record each, none doubled"
            );
            assert_eq!(batch.body(), body(index));
        }
        assert_eq!(index, journal.recovery.tail.index);
        journal
    }
}

fn cycles(name: &str, policy: AcknowledgementPolicy, keep_ring: bool) {
    let place = Place::new();
    let mut taken = 0;
    for cycle in 0..CYCLES {
        let acknowledged = place.run_and_kill(name, 10 + cycle * 67);
        if !keep_ring {
            std::fs::remove_file(place.ring()).unwrap();
        }
        let journal = place.recover(policy);
        let tail = journal.recovery.tail;
        assert!(
            tail.index >= acknowledged,
            "{} < {acknowledged}",
            tail.index
        );
        taken += journal.recovery.pending_batches;
        let missing = |finding: &Finding| matches!(finding, Finding::LogBufferMissing { .. });
        assert_eq!(journal.recovery.findings.iter().any(missing), !keep_ring);
        println!(
            "{name}: {acknowledged} acknowledged, {} recovered",
            tail.index
        );
    }
    if policy == AcknowledgementPolicy::Local {
        assert!(
            taken > 0,
            "no kill came before the disk: the test shows nothing"
        );
    }
}

#[test]
fn local_acknowledgements_survive_kill_9() {
    cycles("local", AcknowledgementPolicy::Local, true);
}

#[test]
fn durable_acknowledgements_survive_kill_9_and_the_loss_of_the_log_buffer() {
    cycles("durable", AcknowledgementPolicy::Durable, false);
    cycles("durable", AcknowledgementPolicy::Durable, true);
}

#[test]
fn an_orderly_stop_leaves_nothing_to_do() {
    let place = Place::new();
    for _ in 0..3 {
        let mut journal = place.recover_any();
        let term = journal.begin_term().unwrap();
        let mut appender = journal
            .buffer
            .appender(journal.folder.meta().lineage)
            .unwrap();
        let (mut writer, mut preparer) = (journal.writer(), journal.preparer());
        appender.begin(0).unwrap();
        let tail = *appender.tail();
        let stop = appender.seal(&fields(&tail, term, 4));
        while !writer.is_drained() {
            preparer.do_work();
            writer.do_work().unwrap();
        }
        writer.sync().unwrap();
        journal.stopped(stop.index).unwrap();
        drop((writer, appender, journal));
        std::fs::remove_file(place.ring()).unwrap();
        let journal = place.recover_any();
        assert_eq!(journal.recovery.findings, [Finding::CleanStop]);
        assert_eq!(journal.recovery.tail.index, stop.index);
        assert_eq!(journal.hard_state.state().commit_index, stop.index);
    }
}

impl Place {
    fn recover_any(&self) -> Journal<DirectStorage> {
        let options = start_options(AcknowledgementPolicy::Durable, self.ring());
        Journal::open(&self.storage(), &options).unwrap()
    }
}
