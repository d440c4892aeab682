//! Recorded markets through the wire: every visible price and size of the files is compared with the
//! venue's own answers, and a replay of the journal gives the state hash of the run.
//!
//! The files are not part of the project; where they are absent the test says so and passes.

use lockstep_core::{Capacity, StateMachine};
use lockstep_journal::folder::read_meta;
use lockstep_journal::reader::{JournalReader, ReadOptions};
use lockstep_journal::storage::DirectStorage;
use lockstep_node::replay::Replayer;
use lockstep_record::event::NullSink;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

const LOCKSTEP: &str = env!("CARGO_BIN_EXE_lockstep");

/// A venue that ends with the test, however the test ends.
struct Venue {
    child: Child,
    output: BufReader<ChildStdout>,
    address: String,
    folder: tempfile::TempDir,
}

impl Drop for Venue {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn hashed(password: &str) -> String {
    use lockstep_node::auth::{HashCost, hash_password};
    let password = lockstep_wire::soup::Password::new(password).unwrap();
    hash_password(&password, HashCost::CHEAP).unwrap()
}

/// `instruments`: `[[instrument]]` tables.
fn configuration(instruments: &str) -> String {
    let hash = hashed("secret");
    let mut text = format!(
        "[data]\ndirectory = \"data\"\n\
         [acknowledge]\npolicy = \"local\"\n\
         [network]\nlisten = \"127.0.0.1:0\"\n\
         [journal]\nsegment_bytes = 16777216\nlog_buffer_bytes = 16777216\n\
         [bounds]\nopen_orders_max = 65536\n\
         [[thread]]\nidle = \"yield\"\n\
         agents = [\"gateway\", \"sequencer\", \"consensus\", \"journal\", \"engine\", \"stream\"]\n\
         [[firm]]\nid = 1\ncode = \"ACME\"\n\
         {instruments}\n"
    );
    for (id, user) in [(1, "MAKER"), (2, "TAKER"), (3, "REVEAL")] {
        text += &format!(
            "[[session]]\nid = {id}\nuser = \"{user}\"\nfirm = \"ACME\"\npassword_argon2id = \"{hash}\"\n"
        );
    }
    text
}

impl Venue {
    fn start(instruments: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("venue.toml");
        std::fs::write(&file, configuration(instruments)).unwrap();
        let mut child = Command::new(LOCKSTEP)
            .args(["serve", "--format", "--config"])
            .arg(&file)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let address = wait_for(&mut output, "listening on ");
        let address = address.split(' ').next().unwrap().to_owned();
        Self {
            child,
            output,
            address,
            folder,
        }
    }

    /// Stops in order; returns the state hash that the venue prints.
    fn stop(&mut self) -> String {
        let id = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &id])
                .status()
                .unwrap()
                .success()
        );
        let line = wait_for(&mut self.output, "state hash ");
        assert!(self.child.wait().unwrap().success());
        line.split(' ').next().unwrap().to_owned()
    }
}

/// What follows `prefix` in the first line that begins with it.
fn wait_for(output: &mut impl BufRead, prefix: &str) -> String {
    let mut line = String::new();
    loop {
        line.clear();
        assert!(
            output.read_line(&mut line).unwrap() > 0,
            "the venue ended before it said {prefix:?}"
        );
        if let Some(rest) = line.strip_prefix(prefix) {
            return rest.trim_end().to_owned();
        }
    }
}

fn replayed_hash(journal: &Path) -> String {
    let storage = DirectStorage::open(journal).unwrap();
    let meta = read_meta(&storage).unwrap();
    let mut reader = JournalReader::new(storage, &meta, ReadOptions::ALL);
    let mut replayer = Replayer::new(StateMachine::new(Capacity::default()));
    while let Some(batch) = reader.next_batch().unwrap() {
        replayer.apply(&batch, &mut NullSink).unwrap();
    }
    assert!(replayer.records > 1000, "{} records", replayer.records);
    assert!(replayer.digests_compared > 0);
    replayer
        .machine
        .state_hash()
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect()
}

fn data_file(name: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let path = root.join(name);
    if !path.exists() {
        println!("SKIP: {} is absent", path.display());
        return None;
    }
    Some(path)
}

fn replay_through_the_wire(name: &str, symbol: &str, rows_min: &str) {
    let Some(file) = data_file(name) else { return };
    let instrument = format!("[[instrument]]\nid = 1\nsymbol = \"{symbol}\"\ntick_size = 100\n");
    replay_and_compare(&file, &instrument, rows_min);
}

fn replay_and_compare(file: &Path, instruments: &str, rows_min: &str) {
    let mut venue = Venue::start(instruments);
    let replay = Command::new(LOCKSTEP)
        .args(["bench", "replay-market", "--address", &venue.address])
        .args([
            "--maker",
            "maker:secret",
            "--taker",
            "taker:secret",
            "--reveal",
            "reveal:secret",
        ])
        .args(["--rows-min", rows_min, "--mismatches-max", "1"])
        .arg(file)
        .output()
        .unwrap();
    let report = String::from_utf8_lossy(&replay.stdout);
    println!("{report}");
    assert!(
        replay.status.success(),
        "{report}\n{}",
        String::from_utf8_lossy(&replay.stderr)
    );
    let live = venue.stop();
    assert_eq!(
        replayed_hash(&venue.folder.path().join("data/journal")),
        live
    );
}

#[test]
fn amazon_best_bid_and_ask_of_a_whole_day() {
    replay_through_the_wire("AMZN_message_kv6003.csv.xz", "AMZN", "43500");
}

#[test]
fn apple_ten_levels() {
    let name = "AAPL_2012-06-21_34200000_57600000_message_10_head.csv.xz";
    replay_through_the_wire(name, "AAPL", "950");
}

/// Every stock of an ITCH file: the command says which instruments the venue needs, then replays it.
#[test]
fn every_stock_of_an_itch_file() {
    let Some(file) = data_file("ritch_example_framed.itch.gz") else {
        return;
    };
    let needed = Command::new(LOCKSTEP)
        .args(["bench", "replay-market", "--instruments"])
        .arg(&file)
        .output()
        .unwrap();
    assert!(needed.status.success());
    let instruments = String::from_utf8(needed.stdout).unwrap();
    assert!(instruments.matches("[[instrument]]").count() >= 3);
    replay_and_compare(&file, &instruments, "6883");
}
