//! The sequencer's end of the log buffer: builds one batch at a time, in place.
//!
//! Records are copied once, into their final place; the header is written last. Until [`Appender::seal`]
//! nothing of a batch is part of the log, and [`Appender::erase`] undoes it, so term and index may be
//! asked of consensus, and refused by it, while the records already lie where they will stay. No
//! allocation, no system call, no lock.

use super::LogBuffer;
use super::mapping::RingWriter;
use crate::batch::{BATCH_HEADER_LENGTH, BatchHeader, HEADER_CHECKSUM, LogTail};
use crate::position::{batch_length, batch_start, body_length_max};
use crate::{Checksum, Lineage, LogPosition};
use std::sync::Arc;
use thiserror::Error;

/// The ring has no room: the journal's writer or a consumer is behind. Try again later.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("the log buffer is full: the disk or a consumer is behind")]
pub struct Full;

/// The open batch has no room for this record: seal it and begin another.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("the batch is full")]
pub struct BatchFull;

/// What the sequencer and consensus know of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SealFields {
    pub kind: u8,
    pub term: u64,
    pub index: u64,
    pub first_sequence: u64,
    pub timestamp: u64,
    pub commit_index: u64,
    pub digest_index: u64,
    pub digest: u64,
    pub feature_set_version: u64,
}

/// A batch that is now part of the log buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Published {
    pub index: u64,
    /// Where it begins.
    pub position: LogPosition,
    /// Header, records and padding.
    pub length: u64,
    pub header_checksum: Checksum,
}

impl Published {
    /// Position behind the batch.
    pub fn end(&self) -> LogPosition {
        self.position.plus(self.length)
    }
}

#[derive(Clone, Copy, Debug)]
struct OpenBatch {
    start: LogPosition,
    /// Behind the last record.
    end: LogPosition,
    /// The last record may not end behind it.
    limit: LogPosition,
    record_count: u32,
}

/// The only writer of a log buffer.
#[derive(Debug)]
pub struct Appender {
    buffer: Arc<LogBuffer>,
    writer: RingWriter,
    tail: LogTail,
    lineage: Lineage,
    open: Option<OpenBatch>,
    /// Bytes from the open batch's last record, or the tail, up to here are zero. A block boundary.
    zeroed: LogPosition,
}

impl Appender {
    pub(super) fn new(
        buffer: Arc<LogBuffer>,
        writer: RingWriter,
        tail: LogTail,
        lineage: Lineage,
    ) -> Self {
        debug_assert_eq!(writer.published(), tail.position);
        // Initialisation zeroed the rest of the tail's block.
        let zeroed = tail.position.block_ceil();
        Self {
            buffer,
            writer,
            tail,
            lineage,
            open: None,
            zeroed,
        }
    }

    /// What the next batch must continue.
    pub fn tail(&self) -> &LogTail {
        &self.tail
    }

    pub fn buffer(&self) -> &Arc<LogBuffer> {
        &self.buffer
    }

    /// Most that [`Self::begin`] may be asked for, bytes.
    pub fn body_length_max(&self) -> usize {
        let identity = self.buffer.identity();
        body_length_max(identity.segment_data_length, identity.ring_length) as usize
    }

    /// Opens a batch with room for `max_body` bytes of records (at most [`Self::body_length_max`]).
    ///
    /// Begins at the next segment if it would straddle. Changes nothing when it returns [`Full`].
    pub fn begin(&mut self, max_body: usize) -> Result<(), Full> {
        assert!(self.open.is_none(), "one batch at a time");
        assert!(
            max_body <= self.body_length_max(),
            "no batch may be that long"
        );
        let length = batch_length(max_body as u64);
        let segment = self.buffer.identity().segment_data_length;
        let start = batch_start(self.tail.position, length, segment);
        let blocks_end = start.plus(length).block_ceil();
        if blocks_end > self.writer.ceiling() {
            self.writer.refresh();
            if blocks_end > self.writer.ceiling() {
                return Err(Full);
            }
        }
        let body = start.plus(BATCH_HEADER_LENGTH as u64);
        // The gap before the next segment is written to disk too, as zeros.
        self.zero_up_to(body);
        let limit = body.plus(max_body as u64);
        self.open = Some(OpenBatch {
            start,
            end: body,
            limit,
            record_count: 0,
        });
        Ok(())
    }

    /// Whether a batch is open.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Copies one record behind the last. Its length is a multiple of 8.
    #[inline]
    pub fn push(&mut self, record: &[u8]) -> Result<(), BatchFull> {
        debug_assert!(record.len().is_multiple_of(8), "records are 8-aligned");
        let Some(mut open) = self.open else {
            return Err(BatchFull);
        };
        let end = open.end.plus(record.len() as u64);
        if end > open.limit {
            return Err(BatchFull);
        }
        self.writer.copy(open.end, record);
        if end > self.zeroed {
            let to = end.block_ceil();
            self.writer.zero(end, to);
            self.zeroed = to;
        }
        open.end = end;
        open.record_count += 1;
        self.open = Some(open);
        Ok(())
    }

    /// Records in the open batch.
    pub fn record_count(&self) -> u32 {
        self.open.map_or(0, |open| open.record_count)
    }

    /// Bytes of the open batch's records.
    pub fn body_length(&self) -> usize {
        self.open.map_or(0, |open| body_length(&open) as usize)
    }

    /// Makes the open batch part of the log. The fields must continue [`Self::tail`]: anything else is a
    /// bug of the sequencer's and aborts.
    pub fn seal(&mut self, fields: &SealFields) -> Published {
        let Some(open) = self.open.take() else {
            panic!("no batch is open")
        };
        let mut header = self.header(fields, &open);
        if let Err(error) = header.follows(&self.tail, header.cluster_id) {
            panic!("the sequencer sealed a batch out of order: {error}");
        }
        assert!(
            fields.commit_index < fields.index,
            "no batch commits itself"
        );
        let bytes = header.encode();
        header.header_checksum = Checksum(crate::bytes::get_array(&bytes, HEADER_CHECKSUM));
        let (index, position, length) = (header.index, open.start, header.length());
        // Padding to the next multiple of 64 is zero: its block was zeroed when it was entered, because
        // a batch's padding never leaves the block of its last byte.
        self.writer
            .publish(position, &bytes, position.plus(length), index);
        self.tail = LogTail::after(&header, position);
        Published {
            index,
            position,
            length,
            header_checksum: header.header_checksum,
        }
    }

    fn header(&self, fields: &SealFields, open: &OpenBatch) -> BatchHeader {
        let body_length = body_length(open);
        let body_start = open.start.plus(BATCH_HEADER_LENGTH as u64);
        let body_checksum = Checksum::of(self.writer.unpublished(body_start, body_length));
        BatchHeader {
            kind: fields.kind,
            cluster_id: self.buffer.identity().cluster_id,
            lineage: self.lineage,
            term: fields.term,
            index: fields.index,
            first_sequence: fields.first_sequence,
            record_count: open.record_count,
            body_length: body_length as u32,
            timestamp: fields.timestamp,
            commit_index: fields.commit_index,
            digest_index: fields.digest_index,
            digest: fields.digest,
            feature_set_version: fields.feature_set_version,
            body_checksum,
            previous_checksum: self.tail.header_checksum,
            header_checksum: Checksum::ZERO,
        }
    }

    /// Drops the open batch, if there is one, leaving no trace of it.
    pub fn erase(&mut self) {
        if let Some(open) = self.open.take() {
            self.writer
                .zero(open.start.plus(BATCH_HEADER_LENGTH as u64), open.end);
        }
    }

    #[inline]
    fn zero_up_to(&mut self, end: LogPosition) {
        if end > self.zeroed {
            let to = end.block_ceil();
            self.writer.zero(self.zeroed, to);
            self.zeroed = to;
        }
    }
}

fn body_length(open: &OpenBatch) -> u64 {
    open.end.0 - open.start.0 - BATCH_HEADER_LENGTH as u64
}
