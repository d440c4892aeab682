//! Journals made in this process by the real appender and writer, and the binary run on them.

use lockstep_bench::replay::builder::{BuildOptions, JournalBuilder};
use lockstep_bench::replay::flow::{Flow, FlowOptions};
use lockstep_core::StateMachine;
use lockstep_journal::folder::{JournalMeta, read_meta};
use lockstep_journal::reader::{JournalReader, ReadOptions};
use lockstep_journal::storage::DirectStorage;
use lockstep_journal::{BATCH_HEADER_LENGTH, BLOCK_LENGTH, BatchHeader, Checksum};
use lockstep_record::event::{EventSink, NullSink};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

pub const SEGMENT_DATA_LENGTH: u64 = 64 << 10;

/// A data directory with a journal, and the builder that still holds it.
pub struct Making {
    pub directory: TempDir,
    pub builder: JournalBuilder,
    pub flow: Flow,
}

/// A data directory whose journal nobody holds.
pub struct Made {
    pub directory: TempDir,
    pub machine: StateMachine,
}

/// Where log buffers live: making a journal there does not wait for a disk.
fn memory_folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

pub fn begin<S: EventSink>(sink: &mut S) -> Making {
    begin_with(SEGMENT_DATA_LENGTH, sink)
}

pub fn begin_with<S: EventSink>(segment_data_length: u64, sink: &mut S) -> Making {
    let directory = memory_folder();
    let options = BuildOptions {
        folder: directory.path().join("journal"),
        log_buffer: directory.path().join("log-buffer"),
        segment_data_length,
        ring_length: 1 << 20,
    };
    let mut builder = JournalBuilder::create(&options).unwrap();
    let mut flow = Flow::new(FlowOptions {
        seed: 3,
        sessions: 4,
        instruments: 2,
        live_orders: 200,
        open_orders_max: 1 << 12,
    });
    flow.open(&mut builder, sink).unwrap();
    Making {
        directory,
        builder,
        flow,
    }
}

impl Making {
    pub fn batches<S: EventSink>(&mut self, count: u64, sink: &mut S) {
        for _ in 0..count {
            self.flow.batch(&mut self.builder, 400, sink).unwrap();
        }
    }

    pub fn stop(self) -> Made {
        Made {
            machine: self.builder.stop().unwrap(),
            directory: self.directory,
        }
    }

    pub fn kill(self) -> Made {
        Made {
            machine: self.builder.kill(),
            directory: self.directory,
        }
    }
}

/// Some segments of a busy day, stopped in order.
pub fn stopped() -> Made {
    let mut making = begin(&mut NullSink);
    making.batches(60, &mut NullSink);
    making.stop()
}

/// The same, killed with everything in segments.
pub fn killed() -> Made {
    let mut making = begin(&mut NullSink);
    making.batches(60, &mut NullSink);
    making.builder.drain().unwrap();
    making.kill()
}

/// The same journal once more; its log buffer is left behind.
pub fn copy(made: &Made) -> Made {
    let directory = memory_folder();
    let journal = directory.path().join("journal");
    fs::create_dir(&journal).unwrap();
    for entry in fs::read_dir(made.journal()).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), journal.join(entry.file_name())).unwrap();
    }
    Made {
        directory,
        machine: StateMachine::new(lockstep_core::Capacity::default()),
    }
}

/// A batch as it lies in its segment.
#[derive(Clone, Copy, Debug)]
pub struct Lies {
    pub header: BatchHeader,
    pub segment: u64,
    /// In the segment's file.
    pub offset: u64,
}

impl Made {
    pub fn journal(&self) -> PathBuf {
        self.directory.path().join("journal")
    }

    pub fn log_buffer(&self) -> PathBuf {
        self.directory.path().join("log-buffer")
    }

    pub fn segment(&self, number: u64) -> PathBuf {
        self.journal()
            .join(lockstep_journal::segment::segment_name(number))
    }

    pub fn meta(&self) -> JournalMeta {
        read_meta(&DirectStorage::open(&self.journal()).unwrap()).unwrap()
    }

    /// All batches in segments.
    pub fn batches(&self) -> Vec<Lies> {
        let storage = DirectStorage::open(&self.journal()).unwrap();
        let mut reader = JournalReader::new(storage, &self.meta(), ReadOptions::ALL);
        let mut batches = Vec::new();
        while let Some(batch) = reader.next_batch().unwrap() {
            batches.push(Lies {
                header: batch.header,
                segment: batch.position.segment(SEGMENT_DATA_LENGTH),
                offset: BLOCK_LENGTH + batch.position.offset_in_segment(SEGMENT_DATA_LENGTH),
            });
        }
        batches
    }

    /// Changes bytes of a segment's file.
    pub fn patch(&self, segment: u64, change: impl FnOnce(&mut Vec<u8>)) {
        patch(&self.segment(segment), change);
    }

    /// Runs `journal` ; `{dir}` and `{log}` stand for the data directory and its log buffer.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        run_on(self.directory.path(), arguments)
    }

    pub fn json(&self, arguments: &[&str]) -> (i32, Value) {
        let ran = self.run(arguments);
        let value = serde_json::from_str(&ran.out)
            .unwrap_or_else(|error| panic!("{error}: {} {}", ran.out, ran.err));
        (ran.code, value)
    }
}

/// Rewrites a batch with valid checksums after `change`, as a bug of a node would have written it.
pub fn forge(file: &mut [u8], at: Lies, change: impl FnOnce(&mut BatchHeader, &mut [u8])) {
    let begin = at.offset as usize;
    let mut header = at.header;
    let body_begin = begin + BATCH_HEADER_LENGTH;
    let body = &mut file[body_begin..body_begin + header.body_length as usize];
    change(&mut header, body);
    header.body_checksum = Checksum::of(body);
    file[begin..body_begin].copy_from_slice(&header.encode());
}

pub fn patch(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

pub fn run_on(directory: &Path, arguments: &[&str]) -> Ran {
    let mut all = vec!["journal"];
    all.extend(arguments);
    run_tool(directory, &all)
}

/// Any command of the binary.
pub fn run_tool(directory: &Path, arguments: &[&str]) -> Ran {
    let log_buffer = directory.join("log-buffer");
    let arguments = arguments.iter().map(|argument| match *argument {
        "{dir}" => directory.as_os_str().to_owned(),
        "{log}" => log_buffer.as_os_str().to_owned(),
        other => other.into(),
    });
    let output = Command::new(env!("CARGO_BIN_EXE_lockstep"))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    Ran {
        // A signal is never an outcome: -1 equals no expected code.
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Name, content and time of change of every file, to see that nothing was touched.
pub fn fingerprint(folder: &Path) -> Vec<(String, Vec<u8>, std::time::SystemTime)> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let modified = entry.metadata().unwrap().modified().unwrap();
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read(entry.path()).unwrap(), modified)
        })
        .collect();
    files.sort();
    files
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
