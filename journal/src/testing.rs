//! What tests of several modules share: a small journal, driven by hand.

use crate::RING_LENGTH_MIN;
use crate::folder::{
    AcknowledgementPolicy, FormatOptions, JournalFolder, JournalMeta, OpenOptions,
};
use crate::log_buffer::LogBufferOptions;
use crate::segment::{SegmentPreparer, SegmentSupply, prepare_now};
use crate::storage::Storage;
use crate::writer::{JournalError, JournalWriter};
use crate::{Appender, ClusterId, JournalId, Lineage, LogBuffer, LogTail, Published, SealFields};
use std::sync::Arc;
use tempfile::TempDir;

pub const DATA_LENGTH: u64 = 16 << 10;

/// Splitmix64: small, seeded, the same everywhere.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

pub fn format_options(data_length: u64) -> FormatOptions {
    FormatOptions {
        cluster_id: ClusterId([1; 16]),
        journal_id: JournalId([2; 16]),
        lineage: Lineage([3; 16]),
        segment_data_length: data_length,
        created: 4,
    }
}

/// A formatted journal with everything that a running node has of it.
pub struct Bench<S: Storage> {
    pub meta: JournalMeta,
    pub storage: S,
    pub buffer: Arc<LogBuffer>,
    pub appender: Appender,
    pub writer: JournalWriter<S>,
    pub preparer: SegmentPreparer<S>,
    /// What was appended: header checksum by index, and bodies.
    pub appended: Vec<(Published, Vec<u8>)>,
    pub term: u64,
    _folder: JournalFolder<S>,
    pub ring_folder: TempDir,
}

impl<S: Storage> Bench<S> {
    pub fn new(storage: S, policy: AcknowledgementPolicy) -> Self {
        Self::with_length(storage, policy, DATA_LENGTH)
    }

    pub fn with_length(storage: S, policy: AcknowledgementPolicy, data_length: u64) -> Self {
        crate::folder::format(&storage, &format_options(data_length)).unwrap();
        let options = OpenOptions {
            policy,
            allow_volatile: true,
        };
        let folder = JournalFolder::open(storage.clone(), options).unwrap();
        let meta = *folder.meta();
        prepare_now(&storage, &meta, 0).unwrap();
        let ring_folder = tempfile::tempdir().unwrap();
        let options = LogBufferOptions {
            path: ring_folder.path().join("buffer"),
            ring_length: RING_LENGTH_MIN,
            cluster_id: meta.cluster_id,
            journal_id: meta.journal_id,
            segment_data_length: meta.segment_data_length,
        };
        let buffer = LogBuffer::create(&options, &LogTail::EMPTY, &[]).unwrap();
        let appender = buffer.appender(meta.lineage).unwrap();
        let supply = SegmentSupply::new(1);
        let writer = JournalWriter::new(&folder, Arc::clone(&buffer), policy, Arc::clone(&supply));
        let preparer = SegmentPreparer::new(storage.clone(), meta, supply);
        Self {
            meta,
            storage,
            buffer,
            appender,
            writer,
            preparer,
            appended: Vec::new(),
            term: 1,
            _folder: folder,
            ring_folder,
        }
    }

    /// Appends one batch of one record per length, committing up to `commit_index`.
    pub fn append(&mut self, kind: u8, lengths: &[usize], commit_index: u64) -> Published {
        let total: usize = lengths.iter().sum();
        self.appender.begin(total).expect("room");
        let tail = *self.appender.tail();
        let mut body = Vec::with_capacity(total);
        for (at, length) in lengths.iter().enumerate() {
            let seed = tail.next_sequence + at as u64;
            let record: Vec<u8> = (0..*length)
                .map(|byte| (seed * 31 + byte as u64) as u8 | 1)
                .collect();
            self.appender.push(&record).unwrap();
            body.extend(record);
        }
        let published = self.appender.seal(&SealFields {
            kind,
            term: self.term,
            index: tail.index + 1,
            first_sequence: tail.next_sequence,
            timestamp: tail.timestamp + 1,
            commit_index,
            digest_index: 0,
            digest: 0,
            feature_set_version: 0,
        });
        self.appended.push((published, body));
        published
    }

    /// The file of the log buffer, as it is now.
    pub fn ring_file(&self) -> Vec<u8> {
        std::fs::read(self.ring_folder.path().join("buffer")).unwrap()
    }

    /// Runs writer and preparer until everything published is durable.
    pub fn drain(&mut self) -> Result<(), JournalError> {
        while !self.writer.is_drained() {
            self.preparer.do_work();
            if self.writer.do_work()? == 0 {
                std::thread::yield_now();
            }
        }
        while self.preparer.do_work() > 0 {}
        Ok(())
    }
}
