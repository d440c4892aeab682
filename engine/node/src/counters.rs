//! Counters in a shared file: written by one thread each, read by anybody, for free.
//!
//! ```text
//! file, little-endian: header 128 bytes: magic "LKSCOUNT" · u32 version 0 · u32 capacity · u32 count
//!   · u32 pid · zeros
//! then per counter 128 bytes: u64 value · u32 id · u32 label length · label (UTF-8, at most 112 bytes)
//! ```
//! Ids are stable over releases; a removed counter's id is never reused.
#![allow(unsafe_code)]

use memmap2::{Mmap, MmapMut};
use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const LINE: usize = 128;
const LABEL_MAX: usize = LINE - 16;
const MAGIC: &[u8; 8] = b"LKSCOUNT";

macro_rules! counter_ids {
    ($($(#[$doc:meta])* $name:ident = $id:literal, $label:literal;)*) => {
        /// Every counter of the node. The discriminant is the stable id.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(u32)]
        pub enum CounterId { $($(#[$doc])* $name = $id,)* }

        /// Id and label of every counter, in file order.
        pub const COUNTERS: &[(CounterId, &str)] = &[$((CounterId::$name, $label),)*];
    };
}

counter_ids! {
    ConnectionsAccepted = 1, "gateway: connections accepted";
    ConnectionsOpen = 2, "gateway: connections open now";
    LoginsAccepted = 3, "gateway: logins accepted";
    LoginsRejected = 4, "gateway: logins rejected";
    Violations = 5, "gateway: connections closed for a protocol violation";
    MessagesIn = 6, "gateway: order-entry messages taken";
    MessagesOut = 7, "gateway: sequenced messages sent live";
    MessagesReplayed = 8, "gateway: bytes replayed from stream files";
    IngressFull = 9, "gateway: times the ingress ring was full";
    SessionsBehind = 10, "gateway: sessions reading from stream files now";
    HeartbeatsOut = 11, "gateway: heartbeats sent";
    PeersTimedOut = 12, "gateway: connections timed out";
    LoginsLimited = 13, "gateway: logins refused because there were too many before";
    Batches = 20, "sequencer: batches sealed";
    Records = 21, "sequencer: records sequenced";
    LogBufferFull = 22, "sequencer: times the log buffer was full";
    RecordsMalformed = 23, "sequencer: malformed records refused";
    ClockLeaps = 24, "sequencer: clock leaps seen";
    CommitIndex = 30, "consensus: commit index";
    DurablePosition = 40, "journal: durable position, bytes";
    JournalWrites = 41, "journal: writes completed";
    JournalStalls = 42, "journal: duty cycles that waited for a segment";
    AppliedIndex = 50, "engine: applied index";
    AppliedSequence = 51, "engine: applied sequence";
    Events = 52, "engine: events emitted";
    EgressFull = 53, "engine: times the egress ring was full";
    OpenOrders = 54, "engine: open orders";
    SnapshotIndex = 56, "snapshot: batch index of the newest one";
    SnapshotFailures = 57, "snapshot: failures";
    StreamBytes = 60, "streams: bytes written";
    Allocations = 70, "process: heap allocations since start";
    ResidentBytes = 71, "process: resident set, bytes, mapped pages included";
    MinorFaults = 72, "process: minor page faults";
    UptimeMs = 73, "process: milliseconds since start";
}

/// The writable file, owned by the node.
#[derive(Debug)]
pub struct Counters {
    map: Arc<MmapMut>,
}

/// Handle of one counter; exactly one thread writes it.
#[derive(Clone, Debug)]
pub struct Counter {
    map: Arc<MmapMut>,
    offset: usize,
}

impl Counters {
    /// Creates (or replaces the content of) the counters file at `path`.
    pub fn create(path: &Path) -> io::Result<Self> {
        // A new inode: a reader of the previous run keeps its own last values.
        let _ = std::fs::remove_file(path);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(path)?;
        file.set_len((LINE * (1 + COUNTERS.len())) as u64)?;
        // SAFETY: the file was just created by us and nobody truncates it while we run.
        let mut map = unsafe { MmapMut::map_mut(&file)? };
        map[0..8].copy_from_slice(MAGIC);
        map[12..16].copy_from_slice(&(COUNTERS.len() as u32).to_le_bytes());
        map[16..20].copy_from_slice(&(COUNTERS.len() as u32).to_le_bytes());
        map[20..24].copy_from_slice(&std::process::id().to_le_bytes());
        for (i, (id, label)) in COUNTERS.iter().enumerate() {
            let at = LINE * (1 + i);
            assert!(label.len() <= LABEL_MAX);
            map[at + 8..at + 12].copy_from_slice(&(*id as u32).to_le_bytes());
            map[at + 12..at + 16].copy_from_slice(&(label.len() as u32).to_le_bytes());
            map[at + 16..at + 16 + label.len()].copy_from_slice(label.as_bytes());
        }
        Ok(Self { map: Arc::new(map) })
    }

    /// The handle of `id`. Give each to one thread only: adding is a plain load and store.
    pub fn counter(&self, id: CounterId) -> Counter {
        let i = COUNTERS.iter().position(|(c, _)| *c == id);
        let offset = LINE * (1 + i.unwrap_or_else(|| unreachable!("every id is listed")));
        Counter {
            map: Arc::clone(&self.map),
            offset,
        }
    }
}

impl Counter {
    fn cell(&self) -> &AtomicU64 {
        // SAFETY: offset is a multiple of 128 inside the mapping; the value's 8 bytes are only ever
        // accessed as AtomicU64 after `create`.
        unsafe { &*self.map.as_ptr().add(self.offset).cast::<AtomicU64>() }
    }

    #[inline(always)]
    pub fn add(&self, n: u64) {
        let cell = self.cell();
        cell.store(
            cell.load(Ordering::Relaxed).wrapping_add(n),
            Ordering::Relaxed,
        );
    }

    #[inline(always)]
    pub fn set(&self, value: u64) {
        self.cell().store(value, Ordering::Relaxed);
    }

    #[inline(always)]
    pub fn get(&self) -> u64 {
        self.cell().load(Ordering::Relaxed)
    }
}

/// One counter as a reader sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CounterValue {
    pub id: u32,
    pub label: String,
    pub value: u64,
}

/// Where a [`CountersView`] has a counter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CounterPlace(usize);

/// A counters file of a running or dead node, mapped: looking at one counter allocates nothing and asks nobody.
#[derive(Debug)]
pub struct CountersView {
    map: Mmap,
}

impl CountersView {
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = std::fs::File::open(path)?;
        // SAFETY: read-only view; the node never truncates the file, and values may change under us.
        let map = unsafe { Mmap::map(&file)? };
        if map.len() < LINE || &map[0..8] != MAGIC {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{} is not a counters file", path.display()),
            ));
        }
        Ok(Self { map })
    }

    fn word(&self, at: usize) -> u32 {
        let bytes = &self.map[at..at + 4];
        u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
    }

    /// Where each counter's line begins, whatever wrote the file.
    fn lines(&self) -> impl Iterator<Item = usize> + use<> {
        let count = (self.word(16) as usize).min(self.map.len() / LINE - 1);
        (0..count).map(|i| LINE * (1 + i))
    }

    fn value_at(&self, line: usize) -> u64 {
        let value = self.map[line..line + 8].as_ptr();
        // SAFETY: `line` is a multiple of 128 in a mapping that begins at a page: 8-aligned, and inside by the slice.
        unsafe { &*value.cast::<AtomicU64>() }.load(Ordering::Relaxed)
    }

    /// `None`: the node that wrote the file had no such counter. Looking for it takes a cache line of each counter from
    /// the thread that writes it; looking at it, one.
    pub fn find(&self, id: CounterId) -> Option<CounterPlace> {
        let line = self.lines().find(|line| self.word(line + 8) == id as u32);
        line.map(CounterPlace)
    }

    /// The value at a place that this view has found.
    pub fn value(&self, place: CounterPlace) -> u64 {
        self.value_at(place.0)
    }

    /// All counters. Damaged labels are skipped, never trusted.
    pub fn values(&self) -> Vec<CounterValue> {
        self.lines()
            .filter_map(|line| {
                let length = (self.word(line + 12) as usize).min(LABEL_MAX);
                let label = std::str::from_utf8(&self.map[line + 16..line + 16 + length]).ok()?;
                Some(CounterValue {
                    id: self.word(line + 8),
                    label: label.to_owned(),
                    value: self.value_at(line),
                })
            })
            .collect()
    }
}

/// Reads a counters file of a running or dead node.
pub fn read_counters(path: &Path) -> io::Result<Vec<CounterValue>> {
    CountersView::open(path).map(|view| view.values())
}

/// The value of one counter in a file.
pub fn read_counter(path: &Path, id: CounterId) -> io::Result<u64> {
    let view = CountersView::open(path)?;
    let found = view.find(id).map(|place| view.value(place));
    found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such counter in the file"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_and_values_are_read_from_outside() {
        for (i, (a, _)) in COUNTERS.iter().enumerate() {
            assert!(COUNTERS[..i].iter().all(|(b, _)| a != b), "{a:?} twice");
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("counters");
        let counters = Counters::create(&path).unwrap();
        counters.counter(CounterId::Records).add(5);
        counters.counter(CounterId::Records).add(2);
        assert_eq!(read_counter(&path, CounterId::Records).unwrap(), 7);
        assert_eq!(read_counters(&path).unwrap().len(), COUNTERS.len());
        std::fs::write(&path, b"nonsense").unwrap();
        assert!(read_counters(&path).is_err());
    }
}
