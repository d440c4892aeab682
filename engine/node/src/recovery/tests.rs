//! Rows R21 to R27 of the decision table, over a real folder: whatever becomes of snapshots and stream files,
//! recovery comes to the same state and the same stream files, or refuses and says why.

use super::*;
use crate::agent::{Agent, Now};
use crate::config::Config;
use crate::config::SnapshotConfig;
use crate::counters::{CounterId, Counters};
use crate::definitions;
use crate::fatal::ExitCode;
use crate::gateway::StreamSource;
use crate::operator;
use crate::snapshot::{Shadow, SnapshotAgent, SnapshotRequest, take};
use crate::stream::{StreamSink, StreamStore};
use lockstep_core::Capacity;
use lockstep_journal::folder::{FormatOptions, format};
use lockstep_journal::segment::segment_name;
use lockstep_journal::snapshot::{self, snapshot_name};
use lockstep_journal::{ClusterId, JournalId, Lineage, SealFields};
use lockstep_record::batch::BatchKind;
use lockstep_record::command::{DayClose, DayOpen, EnterOrder, Login};
use lockstep_record::*;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;
use tempfile::TempDir;

/// What was reported, of the tests of this file one after another.
static REPORTED: Mutex<Vec<String>> = Mutex::new(Vec::new());
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn report(line: &str) {
    REPORTED.lock().unwrap().push(line.to_owned());
}

fn reported() -> Vec<String> {
    std::mem::take(&mut *REPORTED.lock().unwrap())
}

/// A venue without threads: recovered, driven by hand, and left behind as a kill would leave it.
struct Venue {
    folder: TempDir,
    config: Config,
}

/// A life of the venue between two starts.
struct Life {
    recovered: Recovered,
    config: Config,
    number: u32,
}

const DAY: [u8; 10] = *b"DAY0000001";

impl Venue {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "[data]\ndirectory = {:?}\nlog_buffer = {:?}\n\
             [acknowledge]\npolicy = \"durable\"\nallow_volatile = true\n\
             [network]\nlisten = \"127.0.0.1:0\"\n\
             [journal]\nsegment_bytes = 1048576\nlog_buffer_bytes = 1048576\nbatch_bytes_max = 65536\n\
             [bounds]\nopen_orders_max = 1000\ninstruments_max = 4\nsessions_max = 8\nfirms_max = 4\n\
             price_levels_max = 100\n\
             [[firm]]\nid = 1\ncode = \"ACME\"\n\
             [[session]]\nid = 1\nuser = \"alice\"\nfirm = \"ACME\"\npassword_argon2id = {:?}\n\
             [[instrument]]\nid = 1\nsymbol = \"AAAA\"\n",
            folder.path(),
            folder.path().join("buffer"),
            crate::auth::hash_password(
                &lockstep_wire::soup::Password::new("secret").unwrap(),
                crate::auth::HashCost::CHEAP
            )
            .unwrap(),
        );
        let config = Config::parse(&text).unwrap();
        let storage = DirectStorage::create(&journal_folder(&config)).unwrap();
        let options = FormatOptions {
            cluster_id: ClusterId([1; 16]),
            journal_id: JournalId([2; 16]),
            lineage: Lineage([3; 16]),
            segment_data_length: 1 << 20,
            created: 4,
        };
        format(&storage, &options).unwrap();
        Self { folder, config }
    }

    fn storage(&self) -> DirectStorage {
        DirectStorage::open(&journal_folder(&self.config)).unwrap()
    }

    fn start(&self) -> Life {
        self.try_start().unwrap()
    }

    fn try_start(&self) -> Result<Life, Fatal> {
        let recovered = recover(&self.config, report)?;
        let numbers = recovered.machine.last_user_ref(SessionId(1), 0);
        Ok(Life {
            recovered,
            config: self.config.clone(),
            number: numbers,
        })
    }

    /// Takes a snapshot of everything in the folder, as the snapshotter does.
    fn snapshot(&self) -> u64 {
        let storage = self.storage();
        let meta = lockstep_journal::folder::read_meta(&storage).unwrap();
        let mut tell = |line: &str| report(line);
        let mut shadow = Shadow::start(&storage, &meta, Capacity::default(), &mut tell).unwrap();
        while shadow.follow(u64::MAX, 1000).unwrap() > 0 {}
        shadow.save().unwrap().facts.tail.index
    }

    fn stream_files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        for day in std::fs::read_dir(stream_folder(&self.config)).unwrap() {
            for file in std::fs::read_dir(day.unwrap().path()).unwrap() {
                let path = file.unwrap().path();
                files.insert(path.clone(), std::fs::read(&path).unwrap());
            }
        }
        files
    }

    fn damage(&self, name: &str, offset: usize) {
        let path = journal_folder(&self.config).join(name);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[offset] ^= 0x10;
        std::fs::write(&path, bytes).unwrap();
    }

    /// Another boot's id in both slots of the hard state: nothing that was not synced counts unread.
    fn reboot(&self) {
        let path = journal_folder(&self.config).join("hard.state");
        let mut bytes = std::fs::read(&path).unwrap();
        for slot in bytes.chunks_mut(4096) {
            slot[96] ^= 1;
            slot[112..128].fill(0);
            let crc = lockstep_journal::Checksum::of(slot);
            slot[112..128].copy_from_slice(&crc.0);
        }
        std::fs::write(&path, bytes).unwrap();
    }

    fn stream_path(&self, name: &str) -> PathBuf {
        stream_folder(&self.config).join("DAY0000001").join(name)
    }
}

impl Life {
    /// One batch, applied, written and committed.
    fn batch(&mut self, records: &[Vec<u8>]) {
        self.seal(BatchKind::Commands, records);
    }

    fn seal(&mut self, kind: BatchKind, records: &[Vec<u8>]) {
        let log = &mut self.recovered.log;
        let tail = *log.appender.tail();
        let length: usize = records.iter().map(Vec::len).sum();
        log.appender.begin(length).unwrap();
        for record in records {
            log.appender.push(record).unwrap();
        }
        let seal = SealFields {
            kind: kind as u8,
            term: log.term,
            index: tail.index + 1,
            first_sequence: tail.next_sequence,
            timestamp: tail.timestamp + 1_000,
            commit_index: tail.index,
            digest_index: tail.index,
            digest: self.recovered.machine.digest(),
            feature_set_version: 0,
        };
        let published = log.appender.seal(&seal);
        while !log.writer.is_drained() {
            log.preparer.do_work();
            log.writer.do_work().unwrap();
        }
        log.buffer.publish_commit(published.index, published.end());
        let batch = log.engine_reader.next_committed().unwrap();
        let info = crate::engine::batch_info(&batch.header).unwrap();
        let mut sink = StreamSink::new(&mut self.recovered.streams);
        let machine = &mut self.recovered.machine;
        machine.apply(&info, batch.body(), &mut sink).unwrap();
        assert!(sink.failure.is_none());
        while log.consensus_reader.next_published().is_some() {}
    }

    fn open_day(&mut self, date: u32) {
        let records = definitions::proposals(&self.config, &self.recovered.machine);
        let body = DayOpen {
            midnight: 0,
            date,
            session_name: session_name(date),
            _reserved: [0; 10],
        };
        for record in records {
            self.batch(&[record]);
        }
        self.batch(&[operator::record(&body, &[], "test")]);
        let login = Login {
            connection: 5,
            requested_number: 0,
            peer_address: [0; 16],
            peer_port: 0,
            user: *b"ALICE ",
            requested_session: [b' '; 10],
            _reserved: [0; 14],
        };
        self.batch(&[client(&login, 0)]);
        self.number = 0;
    }

    fn close_day(&mut self) {
        self.batch(&[operator::record(&DayClose { _reserved: 0 }, &[], "test")]);
    }

    /// Some orders; every third trades.
    fn trade(&mut self, count: u32) {
        let session = self.recovered.machine.session(SessionId(1)).unwrap();
        let epoch = session.epoch.0;
        for _ in 0..count {
            self.number += 1;
            let number = self.number;
            let order = EnterOrder {
                price: 10_000 + u64::from(number % 7) * 100,
                symbol: *b"AAAA    ",
                user_ref_num: number,
                quantity: 10 + number % 5,
                side: if number.is_multiple_of(3) { b'S' } else { b'B' },
                time_in_force: b'0',
                display: b'Y',
                capacity: b'A',
                intermarket_sweep: b'N',
                cross_type: b'N',
                client_order_id: *b"0123456789ABCD",
                _reserved: [0; 4],
            };
            self.batch(&[client(&order, epoch)]);
        }
    }

    /// An orderly stop: a clean-stop batch, everything written, and said so. The state hash and its place.
    fn stop(mut self) -> ([u8; 32], u64) {
        self.seal(BatchKind::CleanStop, &[]);
        StreamStore::flush(&mut self.recovered.streams).unwrap();
        let machine = &self.recovered.machine;
        let end = (machine.state_hash(), machine.last_sequence().0);
        let Recovered { log, finish, .. } = self.recovered;
        drop(log);
        finish.orderly().unwrap();
        end
    }

    /// As a kill would: nothing is said, files are as they are. The state hash and its place.
    fn kill(mut self) -> ([u8; 32], u64) {
        StreamStore::flush(&mut self.recovered.streams).unwrap();
        let machine = &self.recovered.machine;
        (machine.state_hash(), machine.last_sequence().0)
    }
}

fn session_name(date: u32) -> [u8; 10] {
    let mut name = DAY;
    name[9] = b'0' + (date % 10) as u8;
    name
}

fn client<B: Body>(body: &B, epoch: u32) -> Vec<u8> {
    let source = Source {
        session: SessionId(1),
        epoch: ConnectionEpoch(epoch),
        gateway: Gateway(1),
    };
    let mut bytes = vec![0; RECORD_LENGTH_MAX];
    let length = RecordWriter::new(&mut bytes, source, body).finish();
    bytes.truncate(length);
    bytes
}

/// A day with orders, a snapshot in its middle and one before it; killed. What must come back.
struct Scene {
    venue: Venue,
    before_day: u64,
    in_day: u64,
    hash: [u8; 32],
    sequence: u64,
    streams: BTreeMap<PathBuf, Vec<u8>>,
    _alone: std::sync::MutexGuard<'static, ()>,
}

impl Scene {
    fn new() -> Self {
        let alone = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
        let venue = Venue::new();
        let mut life = venue.start();
        let records = definitions::proposals(&venue.config, &life.recovered.machine);
        for record in records {
            life.batch(&[record]);
        }
        let before_day = venue.snapshot();
        life.open_day(1);
        life.trade(40);
        let in_day = venue.snapshot();
        life.trade(30);
        let (hash, sequence) = life.kill();
        let streams = venue.stream_files();
        assert!(streams.values().map(Vec::len).sum::<usize>() > 4000);
        reported();
        Self {
            venue,
            before_day,
            in_day,
            hash,
            sequence,
            streams,
            _alone: alone,
        }
    }

    /// Recovery comes to the same state and files; what it reported.
    #[track_caller]
    fn assert_recovers(&self) -> Vec<String> {
        let life = self.venue.start();
        let said = reported();
        assert_eq!(life.kill(), (self.hash, self.sequence), "{said:#?}");
        assert_eq!(self.venue.stream_files(), self.streams, "{said:#?}");
        said
    }

    #[track_caller]
    fn assert_from(&self, said: &[String], index: u64) {
        let from = format!("from the snapshot behind batch {index},");
        assert!(said.iter().any(|line| line.contains(&from)), "{said:#?}");
    }
}

#[track_caller]
fn assert_said(said: &[String], what: &str) {
    assert!(
        said.iter().any(|line| line.contains(what)),
        "{what}: {said:#?}"
    );
}

#[test]
fn r21_recovery_begins_behind_the_newest_snapshot() {
    let scene = Scene::new();
    let said = scene.assert_recovers();
    scene.assert_from(&said, scene.in_day);
    // And again, after a life of its own behind it, over the segments' end.
    let mut life = scene.venue.start();
    life.recovered.machine.check_invariants().unwrap();
    life.trade(10);
    let end = life.kill();
    let again = scene.venue.start();
    assert_eq!(again.kill(), end);
}

#[test]
fn r22_a_damaged_snapshot_gives_way_to_an_older_one_and_stays_a_witness() {
    let scene = Scene::new();
    let name = snapshot_name(scene.in_day);
    let length = std::fs::metadata(journal_folder(&scene.venue.config).join(&name));
    let length = length.unwrap().len() as usize;
    // Header; first, last and middle section.
    for offset in [0, 130, 300, 4096, length / 2, length - 4096] {
        scene.venue.damage(&name, offset);
        let said = scene.assert_recovers();
        assert_said(&said, &name);
        scene.assert_from(&said, scene.before_day);
        scene.venue.damage(&name, offset);
    }
    // All of them: from the log's begin.
    scene.venue.damage(&name, 200);
    scene.venue.damage(&snapshot_name(scene.before_day), 5000);
    let said = scene.assert_recovers();
    assert!(
        !said.iter().any(|line| line.contains("from the snapshot")),
        "{said:#?}"
    );
}

/// The witness: a log that ends before a whole snapshot's batch has lost what was acknowledged.
#[test]
fn r22_a_log_that_ends_before_a_snapshot_is_refused() {
    let scene = Scene::new();
    let storage = scene.venue.storage();
    let file = snapshot::SnapshotFile::open(&storage, scene.in_day, ClusterId([1; 16])).unwrap();
    let end = file.header().facts.tail.position.0 as usize;
    drop(file);
    // The state section is damaged, the header is whole; the log is gone from before its batch on.
    scene.venue.damage(&snapshot_name(scene.in_day), 4096);
    let path = journal_folder(&scene.venue.config).join(segment_name(0));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[4096 + end - 600..].fill(0);
    std::fs::write(&path, bytes).unwrap();
    std::fs::remove_file(scene.venue.folder.path().join("buffer")).unwrap();
    let fatal = scene.venue.try_start().err().expect("refused");
    assert_eq!(fatal.code, ExitCode::JournalDamaged, "{fatal}");
}

#[test]
fn r23_a_newer_snapshot_is_passed_over_or_refused() {
    let scene = Scene::new();
    let folder = journal_folder(&scene.venue.config);
    let path = folder.join(snapshot_name(scene.in_day));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[8] = 9;
    bytes[112..128].fill(0);
    let crc = lockstep_journal::Checksum::of(&bytes[..4096]);
    bytes[112..128].copy_from_slice(&crc.0);
    std::fs::write(&path, &bytes).unwrap();
    let said = scene.assert_recovers();
    assert_said(&said, "newer");
    scene.assert_from(&said, scene.before_day);
    // Nothing else serves, and the log's begin is gone.
    std::fs::remove_file(folder.join(snapshot_name(scene.before_day))).unwrap();
    let (first, later) = (folder.join(segment_name(0)), folder.join(segment_name(1)));
    std::fs::rename(first, later).unwrap();
    let fatal = scene.venue.try_start().err().expect("refused");
    assert_eq!(fatal.code, ExitCode::NewerFormat, "{fatal}");
}

#[test]
fn r24_without_snapshot_and_begin_the_start_is_refused() {
    let scene = Scene::new();
    let folder = journal_folder(&scene.venue.config);
    let (first, later) = (folder.join(segment_name(0)), folder.join(segment_name(1)));
    std::fs::rename(first, later).unwrap();
    for index in [scene.before_day, scene.in_day] {
        std::fs::remove_file(folder.join(snapshot_name(index))).unwrap();
    }
    let fatal = scene.venue.try_start().err().expect("refused");
    assert_eq!(fatal.code, ExitCode::JournalDamaged, "{fatal}");
    assert!(fatal.message.contains("segment 1"), "{fatal}");
}

#[test]
fn r25_a_half_written_snapshot_means_nothing() {
    let scene = Scene::new();
    let folder = journal_folder(&scene.venue.config);
    let whole = std::fs::read(folder.join(snapshot_name(scene.in_day))).unwrap();
    let half = format!("{:016}.snapshot.preparing", scene.in_day + 5);
    std::fs::write(folder.join(&half), &whole[..whole.len() / 2]).unwrap();
    let said = scene.assert_recovers();
    scene.assert_from(&said, scene.in_day);
    scene.venue.snapshot();
    assert!(!folder.join(half).exists());
}

#[test]
fn r26_damage_before_the_snapshot_is_not_in_the_way() {
    let scene = Scene::new();
    scene.venue.damage(&segment_name(0), 4096 + 900);
    std::fs::remove_file(scene.venue.folder.path().join("buffer")).unwrap();
    let said = scene.assert_recovers();
    scene.assert_from(&said, scene.in_day);
}

/// Stream files are derived: whatever becomes of them, they are the same after the next start.
#[test]
fn r27_stream_files_that_lack_what_was_sent_are_made_again() {
    let scene = Scene::new();
    let stream = scene.venue.stream_path("1.stream");
    let good = std::fs::read(&stream).unwrap();
    let reboot = || scene.venue.reboot();
    let older = |said: &[String]| {
        assert_said(said, "stream file of session 1");
        scene.assert_from(said, scene.before_day);
    };
    std::fs::remove_file(&stream).unwrap();
    older(&scene.assert_recovers());
    std::fs::write(&stream, &good[..100]).unwrap();
    older(&scene.assert_recovers());
    std::fs::write(scene.venue.stream_path("1.index"), b"").unwrap();
    older(&scene.assert_recovers());
    let mut flipped = good.clone();
    flipped[50] ^= 1;
    std::fs::write(&stream, &flipped).unwrap();
    reboot();
    older(&scene.assert_recovers());
    // Longer than the snapshot says, and of a session that had not been sent anything: cut, removed.
    let mut longer = good.clone();
    longer.extend([0; 500]);
    std::fs::write(&stream, &longer).unwrap();
    std::fs::write(scene.venue.stream_path("7.stream"), b"garbage").unwrap();
    reboot();
    let said = scene.assert_recovers();
    scene.assert_from(&said, scene.in_day);
}

/// What a killed process wrote is not made again in the same boot, behind a snapshot or from the log's begin;
/// after a restart of the machine everything is that no snapshot's checksum holds for.
#[test]
fn stream_files_of_the_life_before_are_continued_in_the_same_boot_only() {
    let scene = Scene::new();
    let stream = scene.venue.stream_path("1.stream");
    let good = std::fs::read(&stream).unwrap();
    let mut marked = good.clone();
    let last = marked.len() - 1;
    marked[last] ^= 1;
    for snapshots in [true, false] {
        if !snapshots {
            for index in [scene.before_day, scene.in_day] {
                scene.venue.damage(&snapshot_name(index), 5000);
            }
        }
        std::fs::write(&stream, &marked).unwrap();
        scene.venue.start().kill();
        assert_eq!(std::fs::read(&stream).unwrap(), marked, "{snapshots}");
        // The last packets never reached the file.
        std::fs::write(&stream, &good[..good.len() - 100]).unwrap();
        scene.assert_recovers();
        std::fs::write(&stream, &marked).unwrap();
        scene.venue.reboot();
        scene.assert_recovers();
        // A start that did not come to its end has promised nothing.
        std::fs::write(&stream, &marked).unwrap();
        std::fs::remove_file(scene.venue.folder.path().join("streams.life")).unwrap();
        scene.assert_recovers();
    }
}

/// An orderly stop was followed by the slower start: all stream files behind the snapshot were made again, though
/// they were whole. They are continued now if the log still ends where that stop was, and only then.
#[test]
fn stream_files_are_continued_after_an_orderly_stop() {
    let scene = Scene::new();
    let end = scene.venue.start().stop();
    let stream = scene.venue.stream_path("1.stream");
    let good = std::fs::read(&stream).unwrap();
    let mut marked = good.clone();
    let last = marked.len() - 1;
    marked[last] ^= 1;
    let stopped = scene.venue.folder.path().join("stopped");
    let journal = journal_folder(&scene.venue.config);
    let copy = |from: &std::path::Path, to: &std::path::Path| {
        let _ = std::fs::remove_dir_all(to);
        std::fs::create_dir(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    };
    copy(&journal, &stopped);
    let life = scene.venue.folder.path().join("streams.life");
    let said = std::fs::read(&life).unwrap();
    // Continued: what is in the files is not looked at, and what they lack is made.
    std::fs::write(&stream, &marked).unwrap();
    assert_eq!(scene.venue.start().stop().1, end.1);
    assert_eq!(std::fs::read(&stream).unwrap(), marked);
    std::fs::write(&stream, &good[..good.len() - 100]).unwrap();
    assert_eq!(scene.venue.start().stop().1, end.1);
    assert_eq!(std::fs::read(&stream).unwrap(), good);
    // Not after a restart of the machine.
    std::fs::write(&stream, &marked).unwrap();
    scene.venue.reboot();
    assert_eq!(scene.venue.start().stop().1, end.1);
    assert_eq!(std::fs::read(&stream).unwrap(), good);
    // Nor with a journal of another time, also if it ended behind as many batches: only its last one differs.
    for other in [false, true] {
        copy(&stopped, &journal);
        std::fs::write(&life, &said).unwrap();
        if other {
            let text = String::from_utf8(said.clone()).unwrap();
            let at = text.find("crc32c:").unwrap() + "crc32c:".len();
            let first = if text.as_bytes()[at] == b'0' {
                "1"
            } else {
                "0"
            };
            let changed = format!("{}{first}{}", &text[..at], &text[at + 1..]);
            std::fs::write(&life, changed).unwrap();
        }
        std::fs::write(&stream, &marked).unwrap();
        assert_eq!(scene.venue.start().kill(), end);
        let expected = if other { &good } else { &marked };
        assert_eq!(&std::fs::read(&stream).unwrap(), expected, "{other}");
    }
    // Nor where the start before was killed in its replay: the hard state is its own by then.
    std::fs::write(&life, &said).unwrap();
    std::fs::write(&stream, &marked).unwrap();
    assert_eq!(scene.venue.start().kill(), end);
    assert_eq!(std::fs::read(&stream).unwrap(), good);
}

/// The disk lost the log's end, and the stream files have what followed from it: it goes from them as well,
/// whichever way the files are made.
#[test]
fn stream_files_end_with_the_log() {
    let scene = Scene::new();
    let storage = scene.venue.storage();
    let file = snapshot::SnapshotFile::open(&storage, scene.in_day, ClusterId([1; 16])).unwrap();
    let end = file.header().facts.tail.position.0 as usize;
    let path = journal_folder(&scene.venue.config).join(segment_name(0));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[4096 + end + 2000..].fill(0);
    std::fs::write(&path, bytes).unwrap();
    std::fs::remove_file(scene.venue.folder.path().join("buffer")).unwrap();
    let (hash, sequence) = scene.venue.start().kill();
    scene.assert_from(&reported(), scene.in_day);
    assert!(sequence < scene.sequence);
    let continued = scene.venue.stream_files();
    assert_ne!(continued, scene.streams);
    std::fs::remove_dir_all(stream_folder(&scene.venue.config)).unwrap();
    assert_eq!(scene.venue.start().kill(), (hash, sequence));
    assert_eq!(scene.venue.stream_files(), continued);
}

/// A day that is over is still given to who names it. A snapshot between days had none of its streams, so that after a
/// start behind it such a client was let in and then heard nothing, for ever.
#[test]
fn a_closed_day_s_streams_are_there_behind_a_snapshot_between_days() {
    let scene = Scene::new();
    let mut life = scene.venue.start();
    life.close_day();
    life.kill();
    let streams = scene.venue.stream_files();
    assert_ne!(streams, scene.streams, "the end was said too");
    let between = scene.venue.snapshot();
    let first = |life: &mut Life| {
        let mut packets = vec![0; 1 << 16];
        let read = life.recovered.reader.read(SessionId(1), 1, &mut packets);
        let (length, count) = read.unwrap();
        assert!(count > 10, "{count} packets");
        packets.truncate(length);
        packets
    };
    reported();
    let mut life = scene.venue.start();
    scene.assert_from(&reported(), between);
    let heard = first(&mut life);
    life.kill();
    // The same from files that are made again, which an older snapshot has to be used for.
    std::fs::remove_dir_all(stream_folder(&scene.venue.config)).unwrap();
    let mut life = scene.venue.start();
    scene.assert_from(&reported(), scene.before_day);
    assert_eq!(first(&mut life), heard);
    assert_eq!(scene.venue.stream_files(), streams);
    // The next day is another matter.
    life.open_day(2);
    life.trade(9);
    let end = life.kill();
    let streams = scene.venue.stream_files();
    let again = scene.venue.start();
    assert_eq!(again.kill(), end);
    assert_eq!(scene.venue.stream_files(), streams);
}

/// Two snapshots of the same log at the same batch are the same bytes, whether the shadow replayed everything
/// or began at an older snapshot.
#[test]
fn the_same_batch_gives_the_same_bytes() {
    let scene = Scene::new();
    let folder = journal_folder(&scene.venue.config);
    let path = folder.join(snapshot_name(scene.venue.snapshot()));
    let behind_snapshot = std::fs::read(&path).unwrap();
    for index in snapshot::list(&scene.venue.storage()).unwrap() {
        std::fs::remove_file(folder.join(snapshot_name(index))).unwrap();
    }
    scene.venue.snapshot();
    assert_eq!(std::fs::read(&path).unwrap(), behind_snapshot);
}

/// By hand: a duty cycle each 60 ms of a clock that nobody waits for.
struct AgentBed {
    agent: SnapshotAgent<DirectStorage>,
    request: Arc<SnapshotRequest>,
    newest: crate::counters::Counter,
    monotonic_ns: u64,
}

impl AgentBed {
    fn new(scene: &Scene, life: &Life) -> Self {
        let path = scene.venue.folder.path().join("agent.counters");
        let counters = Counters::create(&path).unwrap();
        let request = Arc::new(SnapshotRequest::default());
        let config = SnapshotConfig {
            every_records: 20,
            every_seconds: 5,
            ..SnapshotConfig::default()
        };
        let log = &life.recovered.log;
        let agent = SnapshotAgent::new(
            scene.venue.storage(),
            log.meta,
            config,
            Arc::clone(&log.buffer),
            Arc::clone(&request),
            &counters,
        );
        Self {
            agent,
            request,
            newest: counters.counter(CounterId::SnapshotIndex),
            monotonic_ns: 0,
        }
    }

    /// Index of the newest snapshot after some cycles.
    fn run(&mut self, cycles: u64) -> u64 {
        for _ in 0..cycles {
            self.monotonic_ns += 60_000_000;
            let monotonic_ns = self.monotonic_ns;
            self.agent.do_work(Now { monotonic_ns }).unwrap();
        }
        self.newest.get()
    }
}

#[test]
fn the_agent_takes_snapshots_by_records_by_time_and_when_asked() {
    let scene = Scene::new();
    let mut life = scene.venue.start();
    let mut bed = AgentBed::new(&scene, &life);
    assert_eq!(bed.run(1), scene.in_day, "what was there");
    let by_records = bed.run(10);
    assert_eq!(by_records, life.recovered.machine.last_index().0);
    life.trade(5);
    assert_eq!(bed.run(10), by_records, "nothing is due");
    let ticket = bed.request.ask();
    assert_eq!(bed.request.fate(ticket), None);
    let asked = bed.run(2);
    assert_eq!(asked, by_records + 5);
    assert_eq!(bed.request.fate(ticket), Some(Some(asked)));
    life.trade(1);
    assert_eq!(bed.run(10), asked, "five seconds have not passed");
    assert_eq!(bed.run(90), asked + 1, "by time");
    life.trade(19);
    assert_eq!(bed.run(10), asked + 1);
    life.trade(1);
    assert_eq!(bed.run(10), asked + 21, "by records");
    drop(bed);
    let end = life.kill();
    let again = scene.venue.start();
    assert_said(&reported(), &format!("behind batch {}", asked + 21));
    assert_eq!(again.kill(), end);
}

/// From outside, on a folder that nobody serves from: what is known to be committed, and not twice.
#[test]
fn one_is_taken_on_demand_from_outside() {
    let scene = Scene::new();
    let buffer = Some(scene.venue.folder.path().join("buffer"));
    let storage = scene.venue.storage();
    let mut tell = |line: &str| report(line);
    let header = take(&storage, buffer.clone(), &mut tell).unwrap().unwrap();
    assert_eq!(header.facts.tail.next_sequence, scene.sequence + 1);
    assert_eq!(take(&storage, buffer, &mut tell).unwrap(), None);
    let said = scene.assert_recovers();
    scene.assert_from(&said, header.facts.tail.index);
}
