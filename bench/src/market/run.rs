//! The loop around a replay: reads rows, moves messages, watches the time.

use super::link::{LinkError, VenueLink, exchange};
use super::lobster::{LobsterError, LobsterFiles};
use super::replay::{Replay, ReplayOptions};
use super::report::{Ended, MarketReport};
use crate::itch::reader::ItchError;
use std::time::{Duration, Instant};
use thiserror::Error;

/// Why a replay could not be done at all. A venue that answers wrongly, or not at all, is no error
/// here: it is in the report.
#[derive(Debug, Error)]
pub enum ReplayError {
    #[error(transparent)]
    File(#[from] LobsterError),
    #[error(transparent)]
    Itch(#[from] ItchError),
    #[error(transparent)]
    Link(#[from] LinkError),
}

/// What the loop may take.
#[derive(Clone, Copy, Debug)]
pub struct RunLimits {
    /// Longest wait for an answer before the venue counts as silent.
    pub answer_timeout: Duration,
    /// Rows to replay at most.
    pub rows_max: u64,
}

impl Default for RunLimits {
    fn default() -> Self {
        Self {
            answer_timeout: Duration::from_secs(10),
            rows_max: u64::MAX,
        }
    }
}

/// Replays `files` through `link`. `progress` is told the row number about every thousand rows.
pub fn run<L: VenueLink>(
    files: &mut LobsterFiles,
    link: &mut L,
    options: ReplayOptions,
    limits: RunLimits,
    progress: &mut dyn FnMut(u64),
) -> Result<MarketReport, ReplayError> {
    let started = Instant::now();
    let Some(first) = files.next_row()? else {
        return Ok(MarketReport::new(
            &Replay::new(1, options),
            0,
            Ended::Complete,
            started,
        ));
    };
    let depth = files.depth().unwrap_or(1);
    let mut replay = Replay::new(depth, options);
    replay.handle_row(&first);
    let mut at_end = false;
    let mut heard = Instant::now();
    loop {
        at_end = at_end || fill(files, &mut replay, limits.rows_max, progress)?;
        let is_busy = exchange(&mut replay, link)?;
        let ended = if replay.has_given_up() {
            Some(Ended::GaveUp)
        } else if at_end && replay.is_idle() {
            Some(Ended::Complete)
        } else if is_busy {
            heard = Instant::now();
            None
        } else if heard.elapsed() > limits.answer_timeout {
            Some(Ended::Silent {
                row: replay.waiting_for_row().unwrap_or(0),
            })
        } else {
            link.wait(Duration::from_millis(1));
            None
        };
        if let Some(ended) = ended {
            return Ok(MarketReport::new(&replay, depth, ended, started));
        }
    }
}

/// Hands in rows while they are wanted; true at the end of the file.
fn fill(
    files: &mut LobsterFiles,
    replay: &mut Replay,
    rows_max: u64,
    progress: &mut dyn FnMut(u64),
) -> Result<bool, LobsterError> {
    while replay.wants_rows() {
        let row = if replay.counts().rows < rows_max {
            files.next_row()?
        } else {
            None
        };
        let Some(row) = row else {
            replay.handle_end();
            return Ok(true);
        };
        replay.handle_row(&row);
        if row.number.is_multiple_of(1000) {
            progress(row.number);
        }
    }
    Ok(false)
}
