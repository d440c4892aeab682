//! A journal's batches one at a time, on whatever ground they stand: segments, then the log buffer.
//!
//! For tools that go through two journals side by side, or behind what the walk of the segments reached. It
//! gives out only batches whose checksums hold and that follow.

use super::folder::Opened;
use super::output::Failure;
use lockstep_journal::reader::{JournalReader, ReadOptions};
use lockstep_journal::storage::DirectStorage;
use lockstep_journal::{BatchView, LogPosition, LogTail};
use lockstep_node::journal::read_fatal;

pub struct Cursor<'a> {
    opened: &'a Opened,
    reader: JournalReader<DirectStorage>,
    tail: LogTail,
    /// The last batch came from the log buffer: the next one is looked for there first.
    in_buffer: bool,
}

fn reader(opened: &Opened, from: LogTail) -> JournalReader<DirectStorage> {
    opened.reader(ReadOptions {
        from,
        ..ReadOptions::ALL
    })
}

impl<'a> Cursor<'a> {
    pub fn new(opened: &'a Opened) -> Self {
        Self::behind(opened, opened.first_tail())
    }

    pub fn behind(opened: &'a Opened, tail: LogTail) -> Self {
        Self {
            opened,
            reader: reader(opened, tail),
            tail,
            in_buffer: false,
        }
    }

    /// Behind the last batch given.
    pub fn tail(&self) -> &LogTail {
        &self.tail
    }

    /// The next batch; `None` where the log ends or breaks.
    pub fn next_batch(&mut self) -> Result<Option<BatchView<'_>>, Failure> {
        if self.in_buffer && self.buffered().is_some() {
            return Ok(self.take_buffered());
        }
        if self.in_buffer {
            self.reader = reader(self.opened, self.tail);
            self.in_buffer = false;
        }
        if self.reader.peek().map_err(|e| read_fatal(&e))?.is_none() {
            return Ok(self.take_buffered());
        }
        let batch = self.reader.next_batch().map_err(|e| read_fatal(&e))?;
        if let Some(batch) = &batch {
            self.tail = LogTail::after(&batch.header, batch.position);
        }
        Ok(batch)
    }

    fn take_buffered(&mut self) -> Option<BatchView<'a>> {
        let batch = self.buffered()?;
        self.tail = LogTail::after(&batch.header, batch.position);
        self.in_buffer = true;
        Some(batch)
    }

    fn buffered(&self) -> Option<BatchView<'a>> {
        let meta = &self.opened.meta;
        let buffer = self.opened.usable_log_buffer()?;
        let at = |position: LogPosition| {
            let batch = buffer.batch_at(position).ok()?;
            let follows = batch.header.follows(&self.tail, meta.cluster_id);
            follows.is_ok().then_some(batch)
        };
        let here = self.tail.position;
        at(here).or_else(|| at(here.next_segment(meta.segment_data_length)))
    }
}
