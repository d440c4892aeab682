//! Walks over the segments as they are, damaged or not, and says everything it meets in order.
//!
//! It trusts nothing but checksums. Where the log breaks it looks for the next whole batch and goes on
//! there, so that one bad byte does not hide the rest; whether a break is a torn tail or damage is not
//! decided here.

use super::ahead::{Ahead, Whole};
use super::folder::Opened;
use super::output::Failure;
use lockstep_journal::batch::{BATCH_MAGIC, OrderError};
use lockstep_journal::folder::JournalMeta;
use lockstep_journal::reader::EndReason;
use lockstep_journal::segment::{SegmentHeader, map_segment, segment_file_length};
use lockstep_journal::storage::{Storage, StorageBytes, StorageError};
use lockstep_journal::{
    BATCH_ALIGNMENT, BATCH_HEADER_LENGTH, BLOCK_LENGTH, BatchError, BatchHeader, BatchView,
    HeaderBlockError, LogPosition, LogTail,
};
use lockstep_node::journal::storage_code;

/// Where a batch was found.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub segment: u64,
    /// In the segment's file.
    pub offset: u64,
    /// The log has broken before it: recovery would not get here by itself.
    pub behind_break: bool,
}

impl Place {
    /// Of a batch that no segment holds.
    pub const NOWHERE: Self = Self {
        segment: 0,
        offset: 0,
        behind_break: false,
    };
}

/// A stretch of the log that is not batches in order.
#[derive(Clone, Copy, Debug)]
pub struct Break {
    /// Begin of the stretch.
    pub segment: u64,
    pub offset: u64,
    /// What a batch there would have had to continue.
    pub tail: LogTail,
    pub reason: EndReason,
    /// Whole batches in it that belong to an older log.
    pub stale_batches: u64,
    /// Where the walk went on: the first batch behind the stretch; `None` = nothing whole is behind.
    pub resumed: Option<BatchHeader>,
}

/// A segment's file, before its batches.
#[derive(Clone, Copy, Debug)]
pub struct SegmentFile {
    pub number: u64,
    /// Of the file, header block included.
    pub length: u64,
    pub expected_length: u64,
    pub header: Result<SegmentHeader, HeaderBlockError>,
}

/// Receives what the walk meets, in the order of the log. All methods may do nothing.
pub trait Visitor {
    fn segment(&mut self, _: &SegmentFile) -> Result<(), Failure> {
        Ok(())
    }
    /// The segment ended; `used` is the end of its last batch, as an offset in the file.
    fn segment_end(&mut self, _number: u64, _used: u64) -> Result<(), Failure> {
        Ok(())
    }
    /// Segments `from..to` are not there, though later ones are.
    fn missing(&mut self, _from: u64, _to: u64) -> Result<(), Failure> {
        Ok(())
    }
    fn batch(&mut self, batch: &BatchView<'_>, place: &Place) -> Result<(), Failure>;
    /// Bytes that are not part of the log and should be zero: behind a batch's records, or before the
    /// next segment.
    fn not_zero(&mut self, _place: &Place, _tail: &LogTail, _padding: bool) -> Result<(), Failure> {
        Ok(())
    }
    fn broken(&mut self, _: &Break) -> Result<(), Failure> {
        Ok(())
    }
    /// Asked before each batch: `false` ends the walk.
    fn wants_more(&self) -> bool {
        true
    }
}

/// How far the walk got.
#[derive(Clone, Copy, Debug)]
pub struct WalkEnd {
    /// Behind the last batch taken.
    pub tail: LogTail,
    /// Where the log, as recovery walks it, ends on disk: at the first break, or at the end.
    pub sound_tail: LogTail,
}

/// Walks from the first segment, or from `first_segment` without regard to what is before.
///
/// Nothing at or behind `until` is looked at: the limit of what a running node has made durable.
pub fn walk(
    opened: &Opened,
    first_segment: Option<u64>,
    until: Option<LogPosition>,
    visitor: &mut impl Visitor,
) -> Result<WalkEnd, Failure> {
    let mut walk = Walk {
        storage: &opened.storage,
        last: opened.segments.last().copied().unwrap_or(0),
        meta: &opened.meta,
        until: until.unwrap_or(LogPosition(u64::MAX)),
        tail: LogTail::EMPTY,
        open: None,
        first_break: None,
        adopt: first_segment.is_some(),
        ahead: Ahead::start(opened, first_segment.unwrap_or(0)),
        whole: Whole::new(),
    };
    let mut expected = first_segment.unwrap_or(0);
    let first = expected;
    for number in opened.segments.iter().copied().filter(|n| *n >= first) {
        if !visitor.wants_more() {
            break;
        }
        if number > expected {
            visitor.missing(expected, number)?;
            walk.jump(expected);
        }
        walk.segment(number, visitor)?;
        expected = number + 1;
    }
    walk.close(None, visitor)?;
    Ok(WalkEnd {
        tail: walk.tail,
        sound_tail: walk.first_break.unwrap_or(walk.tail),
    })
}

struct Walk<'a, S> {
    storage: &'a S,
    /// Highest segment there is.
    last: u64,
    meta: &'a JournalMeta,
    until: LogPosition,
    tail: LogTail,
    /// The break that no whole batch has ended yet.
    open: Option<Break>,
    /// The tail at the first break.
    first_break: Option<LogTail>,
    /// Take the next whole batch whatever is before it.
    adopt: bool,
    /// Verifies what comes; of this segment, what it found whole.
    ahead: Option<Ahead>,
    whole: Whole,
}

/// What stands at an offset.
enum Found<'a> {
    Batch(BatchView<'a>),
    /// Nothing but zeros to the segment's end.
    Zeros,
    /// It reaches beyond what a running node has made durable.
    Unfinished,
    Other(EndReason),
}

impl<S: Storage> Walk<'_, S> {
    fn segment(&mut self, number: u64, visitor: &mut impl Visitor) -> Result<(), Failure> {
        let first = LogPosition(number.saturating_mul(self.meta.segment_data_length));
        if first >= self.until {
            return Ok(());
        }
        self.whole = self
            .ahead
            .as_ref()
            .map_or_else(Whole::new, |ahead| ahead.take(number));
        let mapped = self.map(number)?;
        let bytes = mapped.as_deref().unwrap_or_default();
        visitor.segment(&SegmentFile {
            number,
            length: bytes.len() as u64,
            expected_length: segment_file_length(self.meta.segment_data_length),
            header: SegmentHeader::decode(bytes),
        })?;
        let end = bytes
            .len()
            .min(BLOCK_LENGTH as usize + self.meta.segment_data_length as usize);
        let data = bytes.get(BLOCK_LENGTH as usize..end).unwrap_or_default();
        let used = self.data(number, first, data, visitor)?;
        visitor.segment_end(number, BLOCK_LENGTH + used as u64)
    }

    fn map(&self, number: u64) -> Result<Option<StorageBytes>, Failure> {
        match map_segment(self.storage, number, self.last) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(StorageError::NotFound { .. }) => Ok(None),
            Err(error) => Err(Failure::new(storage_code(&error), error.to_string())),
        }
    }

    /// Returns the end of the last batch.
    fn data(
        &mut self,
        number: u64,
        first: LogPosition,
        data: &[u8],
        visitor: &mut impl Visitor,
    ) -> Result<usize, Failure> {
        let (mut at, mut used) = (0, 0);
        while at < data.len() && first.plus(at as u64) < self.until && visitor.wants_more() {
            let position = first.plus(at as u64);
            let rest = &data[at..];
            let place = Place {
                segment: number,
                offset: BLOCK_LENGTH + at as u64,
                behind_break: self.first_break.is_some(),
            };
            match self.look(rest, position, at) {
                Found::Batch(batch) => {
                    self.take(&batch, place, visitor)?;
                    at += batch.bytes().len();
                    used = at;
                }
                Found::Zeros | Found::Unfinished => break,
                Found::Other(_)
                    if at != 0 && self.open.is_none() && self.continues_at(number + 1)? =>
                {
                    visitor.not_zero(&place, &self.tail, false)?;
                    break;
                }
                Found::Other(reason) => {
                    self.break_at(place, reason);
                    at += self.skip(rest, position, reason);
                }
            }
        }
        Ok(used)
    }

    fn take(
        &mut self,
        batch: &BatchView<'_>,
        place: Place,
        visitor: &mut impl Visitor,
    ) -> Result<(), Failure> {
        self.adopt = false;
        self.close(Some(batch.header), visitor)?;
        let padding = &batch.bytes()[BATCH_HEADER_LENGTH + batch.header.body_length as usize..];
        if padding.iter().any(|byte| *byte != 0) {
            visitor.not_zero(&place, &self.tail, true)?;
        }
        visitor.batch(batch, &place)?;
        self.tail = LogTail::after(&batch.header, batch.position);
        Ok(())
    }

    /// The batch at the begin of `rest`, `at` bytes into the segment's data, if it is to be taken next; both
    /// checksums are verified, here or ahead.
    fn look<'b>(&self, rest: &'b [u8], position: LogPosition, at: usize) -> Found<'b> {
        let header_end = position.plus(BATCH_HEADER_LENGTH as u64);
        let end = BatchHeader::decode(rest).map_or(header_end, |h| position.plus(h.length()));
        if end > self.until {
            return Found::Unfinished;
        }
        if !rest.starts_with(&BATCH_MAGIC) {
            return if is_zero(rest) {
                Found::Zeros
            } else if is_zero(&rest[..rest.len().min(BATCH_HEADER_LENGTH)]) {
                Found::Other(EndReason::Zeros)
            } else {
                Found::Other(EndReason::NotWhole(BatchError::NotABatch))
            };
        }
        let unit = (at / BATCH_ALIGNMENT as usize) as u32;
        let view = if self.whole.binary_search(&unit).is_ok() {
            BatchView::verified_before(rest, position)
        } else {
            BatchView::verified(rest, position)
        };
        let batch = match view {
            Ok(batch) => batch,
            Err(error) => return Found::Other(EndReason::NotWhole(error)),
        };
        match batch.header.follows(&self.tail, self.meta.cluster_id) {
            Ok(()) => Found::Batch(batch),
            Err(order) if self.may_adopt(&batch.header, &order) => Found::Batch(batch),
            Err(order) => Found::Other(EndReason::DoesNotFollow(order)),
        }
    }

    /// Behind a break the next batch of this log is taken whatever is missing before it.
    fn may_adopt(&self, header: &BatchHeader, order: &OrderError) -> bool {
        let ours = !matches!(order, OrderError::Cluster { .. });
        let later = header.index > self.tail.index && header.term >= self.tail.term;
        ours && later && (self.adopt || self.open.is_some())
    }

    /// Whether segment `number` begins with the batch that comes next.
    fn continues_at(&self, number: u64) -> Result<bool, Failure> {
        let first = LogPosition(number * self.meta.segment_data_length);
        let bytes = self.map(number)?;
        let data = bytes
            .as_deref()
            .and_then(|bytes| bytes.get(BLOCK_LENGTH as usize..));
        Ok(data.is_some_and(|data| {
            BatchView::verified(data, first).is_ok_and(|view| {
                view.header
                    .follows(&self.tail, self.meta.cluster_id)
                    .is_ok()
            })
        }))
    }

    fn break_at(&mut self, place: Place, reason: EndReason) {
        if self.open.is_none() {
            self.first_break.get_or_insert(self.tail);
            self.open = Some(Break {
                segment: place.segment,
                offset: place.offset,
                tail: self.tail,
                reason,
                stale_batches: 0,
                resumed: None,
            });
        }
    }

    /// A segment is missing: the walk goes on at whatever is whole behind it.
    fn jump(&mut self, segment: u64) {
        let place = Place {
            segment,
            offset: 0,
            behind_break: true,
        };
        self.break_at(place, EndReason::NoSegment);
    }

    fn close(
        &mut self,
        resumed: Option<BatchHeader>,
        visitor: &mut impl Visitor,
    ) -> Result<(), Failure> {
        match self.open.take() {
            Some(open) => visitor.broken(&Break { resumed, ..open }),
            None => Ok(()),
        }
    }

    /// Bytes to go on behind a place where no batch can be taken: behind a whole one, else to the next
    /// whole batch of this log, else all.
    fn skip(&mut self, rest: &[u8], position: LogPosition, reason: EndReason) -> usize {
        let step = BATCH_ALIGNMENT as usize;
        // This one may be taken now that the break is known.
        if let EndReason::DoesNotFollow(order) = reason
            && let Ok(header) = BatchHeader::decode(rest)
        {
            if self.may_adopt(&header, &order) {
                return 0;
            }
            if let Some(open) = &mut self.open {
                open.stale_batches += 1;
            }
            return header.length() as usize;
        }
        let mut candidates = (step..rest.len()).step_by(step);
        let whole = |at: &usize| {
            rest[*at..].starts_with(&BATCH_MAGIC)
                && BatchView::verified(&rest[*at..], position.plus(*at as u64)).is_ok()
        };
        candidates.find(whole).unwrap_or(rest.len())
    }
}

/// Whether every byte is zero; quick, for it runs over whole segments.
pub fn is_zero(bytes: &[u8]) -> bool {
    let mut chunks = bytes.chunks_exact(64);
    chunks
        .by_ref()
        .all(|chunk| chunk.iter().fold(0, |sum, byte| sum | byte) == 0)
        && chunks.remainder().iter().all(|byte| *byte == 0)
}
