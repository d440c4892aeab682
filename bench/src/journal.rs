//! `bench journal`: the journal's writer beside raw writes of the same sizes, flags and depth, in one folder.
//!
//! *Stream*: batches of one size as fast as they go, appended, published, written, durable. *One at a time*: the
//! next batch only when the last one is durable. The raw side writes the same bytes with `pwrite` (O_DIRECT and
//! O_DSYNC, one thread per write in flight) into a file that was zero-filled before, as segments are, from memory
//! of which it is said how much lies in huge pages, as it is of the log buffer. Rounds of both take turns.

use crate::measure::setting::Setting;
use crate::measure::thread::{PinError, pin};
use clap::Args;
use lockstep_journal::folder::{
    AcknowledgementPolicy, FolderError, FormatOptions, JournalFolder, OpenOptions, format,
};
use lockstep_journal::segment::{SegmentSupply, prepare_now};
use lockstep_journal::storage::{DirectStorage, StorageError};
use lockstep_journal::writer::{JournalError, JournalWriter, WriterOptions};
use lockstep_journal::{
    Appender, BATCH_HEADER_LENGTH, LogBuffer, LogBufferError, LogBufferOptions, LogTail, SealFields,
};
use serde::Serialize;
use std::fmt;
use std::fs::{File, OpenOptions as FileOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;
use thiserror::Error;

const BLOCK: usize = 4096;
const RING_LENGTH: u64 = 64 << 20;
/// So far the appender is ahead of the disk.
const AHEAD_LENGTH: u64 = 8 << 20;
/// Sizes of a batch with its header.
const SIZES: [usize; 5] = [4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20];
/// As in `fcntl.h` of x86-64 and most others.
const O_DIRECT: i32 = 0o40000;
const O_DSYNC: i32 = 0o10000;

#[derive(Clone, Debug, Args)]
pub struct JournalArgs {
    /// Bytes of each size in a round of the stream.
    #[arg(long, default_value_t = 32 << 20, value_parser = clap::value_parser!(u64).range(1 << 20..=1 << 29))]
    pub bytes: u64,
    /// Writes in a round of one at a time.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(10..=100_000))]
    pub singles: u32,
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
    /// Writes in flight, both sides.
    #[arg(long, default_values_t = [1, 2, 4], value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=4))]
    pub depths: Vec<u32>,
    /// An existing folder on the file system to measure; what is made in it is removed.
    #[arg(long, value_name = "FOLDER")]
    pub folder: PathBuf,
    /// Core of the writer, and of the raw writes.
    #[arg(long)]
    pub core: Option<usize>,
    /// Core of the thread that appends in the stream, as a sequencer on its own core does.
    #[arg(long)]
    pub append_core: Option<usize>,
    /// One JSON object instead of the table.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Error)]
pub enum JournalBenchError {
    #[error("{path}: {source}")]
    Raw { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    LogBuffer(#[from] LogBufferError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("cannot name a journal: {0}")]
    Name(io::Error),
    #[error(transparent)]
    Pin(#[from] PinError),
}

/// One size and depth of the stream: median round, bytes per second.
#[derive(Clone, Debug, Serialize)]
pub struct StreamRow {
    pub batch_bytes: usize,
    pub depth: u32,
    pub raw_bytes_per_second: u64,
    pub journal_bytes_per_second: u64,
    /// Journal to raw.
    pub ratio: f64,
}

/// One size, one at a time: over all rounds, ns.
#[derive(Clone, Debug, Serialize)]
pub struct SingleRow {
    pub batch_bytes: usize,
    pub raw_p50_ns: u64,
    pub journal_p50_ns: u64,
    pub raw_p99_ns: u64,
    pub journal_p99_ns: u64,
    /// Journal to raw, p50.
    pub ratio: f64,
}

#[derive(Clone, Debug, Serialize)]
pub struct JournalReport {
    pub setting: Setting,
    pub driver: String,
    /// What pages the log buffer lies in.
    pub journal_memory: String,
    /// Bytes of the raw writes' memory, and how many of them lie in huge pages.
    pub raw_memory_bytes: u64,
    pub raw_huge_bytes: u64,
    pub stream: Vec<StreamRow>,
    pub single: Vec<SingleRow>,
}

pub fn run(arguments: &JournalArgs) -> Result<JournalReport, JournalBenchError> {
    arguments.core.map(pin).transpose()?;
    let raw = Raw::create(&arguments.folder.join("raw.zeros"), arguments.bytes)?;
    let core = |core: Option<usize>| core.map_or("unpinned".to_owned(), |c| format!("core {c}"));
    let (writing, appending) = (core(arguments.core), core(arguments.append_core));
    let layout = format!("writing on {writing}, appending in the stream on {appending}");
    let mut report = JournalReport {
        setting: Setting::new("none", "durable", &layout),
        driver: String::new(),
        journal_memory: String::new(),
        raw_memory_bytes: RING_LENGTH,
        raw_huge_bytes: huge_bytes(&raw.buffer),
        stream: Vec::new(),
        single: Vec::new(),
    };
    for size in SIZES {
        for &depth in &arguments.depths {
            let (mut raws, mut journals) = (Vec::new(), Vec::new());
            for _ in 0..arguments.rounds {
                raws.push(raw.stream(size, depth, arguments.bytes)?);
                let mut bed = Bed::create(arguments, depth)?;
                journals.push(bed.stream(size, arguments)?);
                report.driver = bed.writer.driver().unwrap_or("none").to_owned();
                report.journal_memory = bed.buffer.memory().to_string();
            }
            report
                .stream
                .push(stream_row(size, depth, &raws, &journals));
        }
        let (mut raws, mut journals) = (Vec::new(), Vec::new());
        let count = arguments
            .singles
            .min((arguments.bytes / size as u64) as u32);
        for _ in 0..arguments.rounds {
            raw.singles(size, count, &mut raws)?;
            Bed::create(arguments, 1)?.singles(size, count, &mut journals)?;
        }
        report.single.push(single_row(size, raws, journals));
    }
    Ok(report)
}

fn stream_row(batch_bytes: usize, depth: u32, raws: &[u64], journals: &[u64]) -> StreamRow {
    let median = |rates: &[u64]| quantile(&mut rates.to_vec(), 50);
    let (raw, journal) = (median(raws), median(journals));
    StreamRow {
        batch_bytes,
        depth,
        raw_bytes_per_second: raw,
        journal_bytes_per_second: journal,
        ratio: journal as f64 / raw.max(1) as f64,
    }
}

fn single_row(batch_bytes: usize, mut raws: Vec<u64>, mut journals: Vec<u64>) -> SingleRow {
    let (raw, journal) = (quantile(&mut raws, 50), quantile(&mut journals, 50));
    SingleRow {
        batch_bytes,
        raw_p50_ns: raw,
        journal_p50_ns: journal,
        raw_p99_ns: quantile(&mut raws, 99),
        journal_p99_ns: quantile(&mut journals, 99),
        ratio: journal as f64 / raw.max(1) as f64,
    }
}

fn quantile(values: &mut [u64], percent: usize) -> u64 {
    values.sort_unstable();
    let last = values.len().saturating_sub(1);
    values.get(last * percent / 100).copied().unwrap_or(0)
}

fn rate(bytes: u64, begun: Instant) -> u64 {
    let ns = begun.elapsed().as_nanos().max(1);
    (u128::from(bytes) * 1_000_000_000 / ns) as u64
}

/// Bytes in huge pages of the mappings that hold `memory`, as the kernel says; 0 where it does not.
fn huge_bytes(memory: &[u8]) -> u64 {
    let (from, to) = (memory.as_ptr().addr(), memory.as_ptr_range().end.addr());
    let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap_or_default();
    let (mut here, mut kib) = (false, 0);
    for line in smaps.lines() {
        let mut words = line.split_whitespace();
        let (name, value) = (words.next().unwrap_or_default(), words.next());
        if let Some((begin, end)) = name.split_once('-') {
            let bound = |text| usize::from_str_radix(text, 16).unwrap_or(0);
            here = bound(begin) < to && bound(end) > from;
        } else if here && name == "AnonHugePages:" {
            kib += value.and_then(|kib| kib.parse().ok()).unwrap_or(0);
        }
    }
    kib << 10
}

/// A zero-filled file and a direct, synchronous handle of it; removed at the end.
struct Raw {
    file: File,
    path: PathBuf,
    buffer: Vec<u8>,
    skip: usize,
}

impl Raw {
    fn create(path: &Path, length: u64) -> Result<Self, JournalBenchError> {
        Self::open(path, length).map_err(|source| JournalBenchError::Raw {
            path: path.to_owned(),
            source,
        })
    }

    fn open(path: &Path, length: u64) -> io::Result<Self> {
        let zeros = vec![0; 1 << 20];
        let file = File::create(path)?;
        for at in 0..length.div_ceil(1 << 20) {
            file.write_all_at(&zeros, at << 20)?;
        }
        file.sync_all()?;
        let mut options = FileOptions::new();
        options.write(true).custom_flags(O_DIRECT | O_DSYNC);
        let buffer = vec![0x5a; RING_LENGTH as usize + BLOCK];
        let skip = buffer.as_ptr().align_offset(BLOCK);
        Ok(Self {
            file: options.open(path)?,
            path: path.to_owned(),
            buffer,
            skip,
        })
    }

    fn write(&self, size: usize, offset: u64) -> Result<(), JournalBenchError> {
        // As far apart in memory as the journal's: a device that finds the same megabyte in a cache each time is
        // another device.
        let begin = self.skip + (offset % RING_LENGTH) as usize;
        let begin = begin.min(self.skip + RING_LENGTH as usize - size);
        let bytes = &self.buffer[begin..begin + size];
        let written = self.file.write_all_at(bytes, offset);
        written.map_err(|source| JournalBenchError::Raw {
            path: self.path.clone(),
            source,
        })
    }

    /// Bytes per second.
    fn stream(&self, size: usize, depth: u32, bytes: u64) -> Result<u64, JournalBenchError> {
        let next = AtomicU64::new(0);
        let begun = Instant::now();
        let work = || -> Result<(), JournalBenchError> {
            loop {
                let offset = next.fetch_add(size as u64, Ordering::Relaxed);
                if offset + size as u64 > bytes {
                    return Ok(());
                }
                self.write(size, offset)?;
            }
        };
        if depth == 1 {
            work()?;
        } else {
            std::thread::scope(|scope| {
                let threads: Vec<_> = (0..depth).map(|_| scope.spawn(work)).collect();
                let ends = threads.into_iter().map(|thread| match thread.join() {
                    Ok(result) => result,
                    Err(panic) => std::panic::resume_unwind(panic),
                });
                ends.collect::<Result<(), _>>()
            })?;
        }
        Ok(rate(bytes, begun))
    }

    fn singles(
        &self,
        size: usize,
        count: u32,
        times_ns: &mut Vec<u64>,
    ) -> Result<(), JournalBenchError> {
        for at in 0..u64::from(count) {
            let begun = Instant::now();
            self.write(size, at * size as u64)?;
            times_ns.push(begun.elapsed().as_nanos() as u64);
        }
        Ok(())
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// A journal of one segment, made for one round.
struct Bed {
    buffer: Arc<LogBuffer>,
    appender: Appender,
    writer: JournalWriter<DirectStorage>,
    body: Vec<u8>,
    log_buffer: PathBuf,
    _folder: JournalFolder<DirectStorage>,
    directory: PathBuf,
}

impl Bed {
    fn create(arguments: &JournalArgs, depth: u32) -> Result<Self, JournalBenchError> {
        let directory = arguments.folder.join("bench.journal");
        let storage = DirectStorage::create(&directory)?;
        let mut options = FormatOptions::new_cluster(0).map_err(JournalBenchError::Name)?;
        options.segment_data_length = (2 * arguments.bytes).next_power_of_two();
        format(&storage, &options)?;
        let policy = AcknowledgementPolicy::Durable;
        let open = OpenOptions {
            policy,
            allow_volatile: true,
        };
        let folder = JournalFolder::open(storage.clone(), open)?;
        let meta = *folder.meta();
        prepare_now(&storage, &meta, 0)?;
        let log_buffer = LogBuffer::default_path(meta.journal_id);
        let options = LogBufferOptions {
            path: log_buffer.clone(),
            ring_length: RING_LENGTH,
            cluster_id: meta.cluster_id,
            journal_id: meta.journal_id,
            segment_data_length: meta.segment_data_length,
        };
        let buffer = LogBuffer::create(&options, &LogTail::EMPTY, &[])?;
        let appender = buffer.appender(meta.lineage)?;
        let supply = SegmentSupply::new(1);
        let writer = JournalWriter::new(&folder, Arc::clone(&buffer), policy, supply);
        let depth = depth as usize;
        Ok(Self {
            buffer,
            appender,
            writer: writer.with_options(WriterOptions { depth }),
            body: vec![0x5a; 1 << 20],
            log_buffer,
            _folder: folder,
            directory,
        })
    }

    /// Appends one batch of `size` bytes, header included; false if there is no room for it yet.
    fn append(&mut self, size: usize) -> bool {
        append(&mut self.appender, &self.body, size)
    }

    /// Bytes per second. Another thread appends, a few megabytes ahead of the writer.
    fn stream(&mut self, size: usize, arguments: &JournalArgs) -> Result<u64, JournalBenchError> {
        self.writer.do_work()?;
        let count = arguments.bytes / size as u64;
        let (buffer, body, writer) = (&self.buffer, &self.body, &mut self.writer);
        let (appender, append_core) = (&mut self.appender, arguments.append_core);
        let (appended, failed) = (AtomicBool::new(false), AtomicBool::new(false));
        let begun = Instant::now();
        std::thread::scope(|scope| {
            let appending = scope.spawn(|| {
                let pinned = append_core.map(pin).transpose().map(drop);
                for _ in 0..count {
                    let ahead = |buffer: &LogBuffer| {
                        buffer.published_position().0 - buffer.durable_position().0
                    };
                    while ahead(buffer) > AHEAD_LENGTH || !append(appender, body, size) {
                        if failed.load(Ordering::Relaxed) {
                            return pinned;
                        }
                        std::hint::spin_loop();
                    }
                }
                appended.store(true, Ordering::Release);
                pinned
            });
            let mut written = Ok(());
            while written.is_ok() && !(appended.load(Ordering::Acquire) && writer.is_drained()) {
                match writer.do_work() {
                    Ok(0) => std::hint::spin_loop(),
                    Ok(_) => {}
                    Err(error) => {
                        failed.store(true, Ordering::Relaxed);
                        written = Err(error);
                    }
                }
            }
            let pinned = match appending.join() {
                Ok(pinned) => pinned,
                Err(panic) => std::panic::resume_unwind(panic),
            };
            pinned?;
            written.map_err(JournalBenchError::from)
        })?;
        Ok(rate(count * size as u64, begun))
    }

    fn singles(
        &mut self,
        size: usize,
        count: u32,
        times_ns: &mut Vec<u64>,
    ) -> Result<(), JournalBenchError> {
        self.writer.do_work()?;
        for _ in 0..count {
            assert!(self.append(size), "an empty ring has room");
            let begun = Instant::now();
            while !self.writer.is_drained() {
                self.writer.do_work()?;
            }
            times_ns.push(begun.elapsed().as_nanos() as u64);
        }
        Ok(())
    }
}

/// See [`Bed::append`].
fn append(appender: &mut Appender, body: &[u8], size: usize) -> bool {
    let length = size - BATCH_HEADER_LENGTH;
    if appender.begin(length).is_err() || appender.push(&body[..length]).is_err() {
        return false;
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
    true
}

impl Drop for Bed {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
        let _ = std::fs::remove_file(&self.log_buffer);
    }
}

impl fmt::Display for JournalReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.setting)?;
        writeln!(
            f,
            "journal written by {} from {}; raw writes from {} MiB, {} of them in huge pages",
            self.driver,
            self.journal_memory,
            self.raw_memory_bytes >> 20,
            self.raw_huge_bytes >> 20
        )?;
        write!(
            f,
            "{:>9} {:>5} {:>12} {:>12} {:>6}",
            "batch", "depth", "raw MB/s", "journal", "ratio"
        )?;
        for row in &self.stream {
            let (raw, journal) = (row.raw_bytes_per_second, row.journal_bytes_per_second);
            let (size, depth) = (row.batch_bytes, row.depth);
            let (raw, journal) = (raw / 1_000_000, journal / 1_000_000);
            write!(
                f,
                "\n{size:>9} {depth:>5} {raw:>12} {journal:>12} {:>6.2}",
                row.ratio
            )?;
        }
        write!(
            f,
            "\n{:>9} {:>12} {:>12} {:>6} {:>12} {:>12}",
            "single", "raw p50 ns", "journal", "ratio", "raw p99 ns", "journal"
        )?;
        for row in &self.single {
            write!(
                f,
                "\n{:>9} {:>12} {:>12} {:>6.2} {:>12} {:>12}",
                row.batch_bytes,
                row.raw_p50_ns,
                row.journal_p50_ns,
                row.ratio,
                row.raw_p99_ns,
                row.journal_p99_ns
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tiny_run_measures_every_size_and_leaves_nothing() {
        let test = std::env::current_exe().unwrap();
        let folder = tempfile::tempdir_in(test.parent().unwrap()).unwrap();
        let arguments = JournalArgs {
            bytes: 1 << 20,
            singles: 10,
            rounds: 1,
            depths: vec![1, 4],
            folder: folder.path().to_owned(),
            core: None,
            append_core: None,
            json: false,
        };
        let report = run(&arguments).unwrap();
        assert_eq!(report.stream.len(), 2 * SIZES.len());
        assert_eq!(report.single.len(), SIZES.len());
        assert!(
            report
                .stream
                .iter()
                .all(|row| row.journal_bytes_per_second > 0)
        );
        assert!(report.single.iter().all(|row| row.journal_p50_ns > 0));
        assert!(!report.driver.is_empty());
        assert!(report.to_string().contains("1048576"));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
