//! Makes the next segments before they are needed: zeros really written, synced, then named.
//!
//! The journal's writer asks through a [`SegmentSupply`]; the [`SegmentPreparer`] does one bounded piece of
//! work a duty cycle. A shell with a core to spare runs it on a helper thread off the pinned cores (its
//! writes and syncs block) and leaves the disk alone between pieces ([`crate::pace`]) unless
//! [`SegmentPreparer::is_urgent`]; a simulator or test runs it by hand.

use super::{preparing_name, segment_file_length, segment_name};
use crate::LogPosition;
use crate::folder::JournalMeta;
use crate::storage::{AlignedBuffer, Storage, StorageError, StorageFile, WriteMode};
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::Thread;

/// Zeros written in one duty cycle.
pub const PREPARE_CHUNK_LENGTH: u64 = 256 << 10;

/// What the writer wants and the preparer has made; segment numbers, all below each count.
#[derive(Debug, Default)]
pub struct SegmentSupply {
    wanted: AtomicU64,
    prepared: AtomicU64,
    /// Log position that the writer has come to.
    position: AtomicU64,
    failure: OnceLock<StorageError>,
    /// Woken when more is wanted.
    helper: OnceLock<Thread>,
}

impl SegmentSupply {
    /// `prepared`: all segments below this number exist.
    pub fn new(prepared: u64) -> Arc<Self> {
        let supply = Self::default();
        supply.prepared.store(prepared, Ordering::Release);
        supply.wanted.store(prepared, Ordering::Release);
        Arc::new(supply)
    }

    /// Asks for all segments below `number`.
    pub fn want(&self, number: u64) {
        if self.wanted.fetch_max(number, Ordering::AcqRel) < number
            && let Some(helper) = self.helper.get()
        {
            helper.unpark();
        }
    }

    /// The writer tells how far it is: zeros that are not needed soon give way to the log's own writes.
    pub fn advance(&self, position: LogPosition) {
        self.position.store(position.0, Ordering::Release);
    }

    /// All segments below this number exist.
    pub fn prepared(&self) -> u64 {
        self.prepared.load(Ordering::Acquire)
    }

    /// Why no more segments come, if so.
    pub fn failure(&self) -> Option<&StorageError> {
        self.failure.get()
    }
}

#[derive(Debug)]
struct Preparing<F> {
    number: u64,
    file: F,
    /// Bytes zeroed so far, the header block's place included.
    done: u64,
}

#[derive(Debug)]
pub struct SegmentPreparer<S: Storage> {
    storage: S,
    meta: JournalMeta,
    supply: Arc<SegmentSupply>,
    zeros: AlignedBuffer,
    preparing: Option<Preparing<S::File>>,
}

impl<S: Storage> SegmentPreparer<S> {
    pub fn new(storage: S, meta: JournalMeta, supply: Arc<SegmentSupply>) -> Self {
        Self {
            storage,
            meta,
            supply,
            zeros: AlignedBuffer::new(PREPARE_CHUNK_LENGTH as usize),
            preparing: None,
        }
    }

    /// The current thread is the one to unpark when more is wanted.
    pub fn wake_this_thread(&self) {
        // A second helper would have nothing to do.
        let _ = self.supply.helper.set(std::thread::current());
    }

    /// One bounded piece of work; 0 if nothing is wanted. After a failure nothing more is tried: the
    /// writer reports the failure when it needs the segment that is not there.
    pub fn do_work(&mut self) -> usize {
        let next = self.supply.prepared();
        let idle = next >= self.supply.wanted.load(Ordering::Acquire);
        if idle || self.supply.failure().is_some() {
            return 0;
        }
        if let Err(error) = self.advance(next) {
            self.preparing = None;
            // The first failure stands.
            let _ = self.supply.failure.set(error);
        }
        1
    }

    /// Whether the writer may come to wait: it is past the middle of the segment before the one that is made.
    pub fn is_urgent(&self) -> bool {
        let position = LogPosition(self.supply.position.load(Ordering::Acquire));
        let data_length = self.meta.segment_data_length;
        self.supply.prepared() <= position.plus(data_length / 2).segment(data_length)
    }

    fn advance(&mut self, number: u64) -> Result<(), StorageError> {
        let length = segment_file_length(self.meta.segment_data_length);
        match self.preparing.take() {
            None => self.preparing = Some(start(&self.storage, number, length)?),
            Some(mut preparing) if preparing.done < length => {
                let chunk = PREPARE_CHUNK_LENGTH.min(length - preparing.done);
                preparing
                    .file
                    .write_at(preparing.done, self.zeros.get(chunk as usize))?;
                preparing.done += chunk;
                self.preparing = Some(preparing);
            }
            Some(preparing) => {
                finish(&self.storage, &self.meta, preparing)?;
                self.supply.prepared.store(number + 1, Ordering::Release);
            }
        }
        Ok(())
    }
}

/// Makes segment `number` while the caller waits: at format and recovery.
pub fn prepare_now<S: Storage>(
    storage: &S,
    meta: &JournalMeta,
    number: u64,
) -> Result<(), StorageError> {
    let supply = SegmentSupply::new(number);
    supply.want(number + 1);
    supply.advance(LogPosition(number * meta.segment_data_length));
    let mut preparer = SegmentPreparer::new(storage.clone(), *meta, Arc::clone(&supply));
    while preparer.do_work() > 0 {}
    supply.failure().map_or(Ok(()), |error| Err(error.clone()))
}

fn start<S: Storage>(
    storage: &S,
    number: u64,
    length: u64,
) -> Result<Preparing<S::File>, StorageError> {
    let name = preparing_name(number);
    match storage.delete(&name) {
        Ok(()) | Err(StorageError::NotFound { .. }) => {}
        Err(error) => return Err(error),
    }
    let file = storage.create(&name, WriteMode::Direct)?;
    // Contiguous space, and a full disk is noticed here, ahead of need.
    file.reserve(length)?;
    Ok(Preparing {
        number,
        file,
        done: 0,
    })
}

fn finish<S: Storage>(
    storage: &S,
    meta: &JournalMeta,
    preparing: Preparing<S::File>,
) -> Result<(), StorageError> {
    let number = preparing.number;
    // Data first: a segment with its name is whole.
    preparing.file.sync()?;
    drop(preparing);
    let header = meta.segment_header(number).encode();
    let file = storage.open(&preparing_name(number), WriteMode::Buffered)?;
    file.write_at(0, &header)?;
    file.sync()?;
    storage.rename(&preparing_name(number), &segment_name(number))?;
    storage.sync_folder()
}

#[cfg(test)]
mod tests {
    use super::super::SegmentHeader;
    use super::*;
    use crate::storage::{Fault, FaultyStorage, MemoryStorage};

    #[test]
    fn a_segment_has_its_name_only_when_it_is_whole() {
        let meta = JournalMeta::for_tests(4 * PREPARE_CHUNK_LENGTH);
        let storage = MemoryStorage::new();
        let supply = SegmentSupply::new(3);
        let mut preparer = SegmentPreparer::new(storage.clone(), meta, Arc::clone(&supply));
        assert_eq!(preparer.do_work(), 0, "nothing wanted");
        supply.want(5);
        supply.advance(LogPosition(5 * meta.segment_data_length));
        while supply.prepared() < 5 {
            let cut = storage.power_cut(|| false);
            for name in cut.list().unwrap() {
                assert_whole(&cut, &meta, &name);
            }
            assert_eq!(preparer.do_work(), 1);
        }
        assert_eq!(preparer.do_work(), 0);
        let after = storage.power_cut(|| false);
        assert_eq!(after.list().unwrap(), [segment_name(3), segment_name(4)]);
    }

    /// Zeros once came at the pace of the log: none before the load, and all of them in the middle of it. At the
    /// highest rate the writer then waited for segments, most of all where the helper had no core of its own.
    #[test]
    fn a_segment_is_made_before_the_log_moves_and_urgent_from_the_middle_of_the_one_before() {
        let length = 16 * PREPARE_CHUNK_LENGTH;
        let meta = JournalMeta::for_tests(length);
        let supply = SegmentSupply::new(1);
        let mut preparer = SegmentPreparer::new(MemoryStorage::new(), meta, Arc::clone(&supply));
        supply.want(2);
        while preparer.do_work() > 0 {}
        assert_eq!(supply.prepared(), 2, "without a byte of log");
        let urgent_at = |position| {
            supply.advance(LogPosition(position));
            preparer.is_urgent()
        };
        assert!(!urgent_at(0));
        assert!(!urgent_at(length - 1));
        assert!(!urgent_at(length));
        assert!(!urgent_at(length + length / 2 - 1));
        assert!(urgent_at(length + length / 2));
        assert!(urgent_at(2 * length), "needed at once");
    }

    /// The helper looked 500 times a second whether there was something to do, on the core of the load generator.
    #[test]
    fn who_wants_a_segment_wakes_the_helper() {
        let meta = JournalMeta::for_tests(2 * PREPARE_CHUNK_LENGTH);
        let supply = SegmentSupply::new(1);
        let mut preparer = SegmentPreparer::new(MemoryStorage::new(), meta, Arc::clone(&supply));
        let (told, parks) = std::sync::mpsc::channel();
        let helper = std::thread::spawn(move || {
            preparer.wake_this_thread();
            told.send(()).unwrap();
            // For ever, if nobody wakes it.
            while preparer.do_work() == 0 {
                std::thread::park();
            }
        });
        parks.recv().unwrap();
        supply.want(1);
        supply.want(2);
        helper.join().unwrap();
    }

    fn assert_whole(storage: &MemoryStorage, meta: &JournalMeta, name: &str) {
        if let Some(number) = super::super::segment_number(name) {
            let bytes = storage.get(name).unwrap();
            assert_eq!(
                bytes.len() as u64,
                segment_file_length(meta.segment_data_length)
            );
            assert_eq!(
                SegmentHeader::decode(&bytes),
                Ok(meta.segment_header(number))
            );
            assert!(crate::bytes::all_zero(&bytes[4096..]));
        }
    }

    #[test]
    fn every_failure_is_reported_once_and_nothing_half_made_is_named() {
        let meta = JournalMeta::for_tests(2 * PREPARE_CHUNK_LENGTH);
        let count = FaultyStorage::new(MemoryStorage::new(), Fault::Fail, 0);
        prepare_now(&count, &meta, 0).unwrap();
        assert!(count.operation_count() > 8);
        for operation in 1..=count.operation_count() {
            for fault in [
                Fault::Fail,
                Fault::NoSpace,
                Fault::ShortWrite,
                Fault::PowerCut,
            ] {
                let storage = FaultyStorage::new(MemoryStorage::new(), fault, operation);
                prepare_now(&storage, &meta, 0).unwrap_err();
                for name in storage.inner().list().unwrap() {
                    assert_whole(storage.inner(), &meta, &name);
                }
                // The next start makes it anew.
                prepare_now(storage.inner(), &meta, 0).unwrap();
                assert_whole(storage.inner(), &meta, &segment_name(0));
            }
        }
    }
}
