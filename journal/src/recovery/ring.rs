//! An earlier owner's log buffer, seen as a second copy of the log's end.

use super::{Finding, RecoveryOptions};
use crate::batch::BATCH_HEADER_LENGTH;
use crate::folder::JournalMeta;
use crate::log_buffer::LogBufferImage;
use crate::reader::{EndReason, check};
use crate::{BatchHeader, LogPosition};
use std::borrow::Cow;

#[derive(Debug)]
pub(super) struct Ring<'a> {
    pub(super) image: LogBufferImage<'a>,
}

impl<'a> Ring<'a> {
    /// Row R14: only this journal's, only this boot's.
    pub(super) fn usable(
        options: &RecoveryOptions<'a>,
        meta: &JournalMeta,
        findings: &mut Vec<Finding>,
    ) -> Option<Self> {
        let image = options.log_buffer?;
        let identity = &image.identity;
        let why =
            if (identity.cluster_id, identity.journal_id) != (meta.cluster_id, meta.journal_id) {
                "it belongs to another journal"
            } else if identity.boot_id != options.boot_id {
                "it was made before the machine was restarted"
            } else if !is_consistent(&image, meta) {
                "its header contradicts itself or the journal"
            } else {
                return Some(Self { image });
            };
        findings.push(Finding::LogBufferIgnored { why });
        None
    }

    /// The batch at `position`, if it is published and still there whole.
    pub(super) fn batch_at(&self, position: LogPosition) -> Result<BatchHeader, EndReason> {
        let published = self.image.published_position;
        let retained = published.0.saturating_sub(self.image.ring.len() as u64);
        let first = self
            .image
            .identity
            .base_position
            .block_floor()
            .0
            .max(retained);
        if position.0 < first || position.0 + BATCH_HEADER_LENGTH as u64 > published.0 {
            return Err(EndReason::NoSegment);
        }
        check(
            &self.bytes(position, self.batch_room(position)),
            position,
            true,
        )
    }

    /// `length` bytes from `position`, in one piece.
    pub(super) fn bytes(&self, position: LogPosition, length: u64) -> Cow<'a, [u8]> {
        let ring = self.image.ring;
        let begin = (position.0 % ring.len() as u64) as usize;
        let end = begin + length as usize;
        if end <= ring.len() {
            return Cow::Borrowed(&ring[begin..end]);
        }
        Cow::Owned([&ring[begin..], &ring[..end - ring.len()]].concat())
    }

    /// Bytes that a batch at `position` may have: to the published position or its segment's end.
    fn batch_room(&self, position: LogPosition) -> u64 {
        let segment_end = position.next_segment(self.image.identity.segment_data_length);
        let end = self.image.published_position.min(segment_end);
        (end.0 - position.0).min(crate::position::BATCH_LENGTH_MAX)
    }
}

fn is_consistent(image: &LogBufferImage<'_>, meta: &JournalMeta) -> bool {
    let identity = &image.identity;
    identity.segment_data_length == meta.segment_data_length
        && identity.ring_length == image.ring.len() as u64
        && identity.ring_length.is_power_of_two()
        && identity.base_position <= image.durable_position
        && image.durable_position <= image.published_position
        && image.published_position.0 < u64::MAX / 2
}
