//! The loop around a replay: reads messages, moves requests and answers, watches the time.

use super::plan::Planner;
use super::reader::{ItchError, ItchFile};
use super::replay::{ItchOptions, ItchReplay};
use super::report::ItchReport;
use super::survey::{Survey, survey};
use crate::market::link::{VenueLink, exchange};
use crate::market::report::Ended;
use crate::market::run::ReplayError;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

/// What the loop may take.
#[derive(Clone, Copy, Debug)]
pub struct ItchLimits {
    /// Longest wait for an answer before the venue counts as silent.
    pub answer_timeout: Duration,
    pub messages_max: u64,
    /// Cancel what rests when the file ends.
    pub cancels_at_end: bool,
}

/// What a venue must be ready for.
#[derive(Clone, Debug)]
pub struct Needs {
    pub survey: Survey,
    /// By stock and lane; lane 0 is the stock itself.
    pub instruments: BTreeMap<(u16, u16), [u8; 8]>,
    /// Most orders that live at once.
    pub live_max: usize,
}

/// Reads the file twice to find out.
pub fn needs(path: &Path, messages_max: u64) -> Result<Needs, ItchError> {
    let survey = survey(&mut ItchFile::open(path)?, messages_max)?;
    let mut planner = Planner::new(survey.clone(), [0; 2]);
    let mut file = ItchFile::open(path)?;
    let mut requests = Vec::new();
    while let Some(message) = file.next_message()? {
        if message.number > messages_max {
            break;
        }
        planner.handle_message(&message, &mut requests);
        requests.clear();
    }
    Ok(Needs {
        survey,
        instruments: planner.instruments().clone(),
        live_max: planner.live_max(),
    })
}

/// Replays `file` through `link`. `progress` is told the message number about every thousand.
pub fn run<L: VenueLink>(
    file: &mut ItchFile,
    link: &mut L,
    survey: Survey,
    options: ItchOptions,
    limits: ItchLimits,
    progress: &mut dyn FnMut(u64),
) -> Result<ItchReport, ReplayError> {
    let started = Instant::now();
    let mut replay = ItchReplay::new(survey, options);
    let (mut at_end, mut is_compared) = (false, false);
    let mut heard = Instant::now();
    let ended = loop {
        at_end = at_end || fill(file, &mut replay, limits.messages_max, progress)?;
        let is_busy = exchange(&mut replay, link)?;
        if replay.has_given_up() {
            break Ended::GaveUp;
        } else if at_end && replay.is_idle() && !is_compared {
            is_compared = true;
            replay.compare_open_orders();
            if limits.cancels_at_end {
                replay.clean_up();
            }
        } else if at_end && replay.is_idle() {
            break Ended::Complete;
        } else if is_busy {
            heard = Instant::now();
        } else if heard.elapsed() > limits.answer_timeout {
            break Ended::Silent {
                row: replay.waiting_for().unwrap_or(0),
            };
        } else {
            link.wait(Duration::from_millis(1));
        }
    };
    Ok(report(&replay, ended, started))
}

fn report(replay: &ItchReplay, ended: Ended, started: Instant) -> ItchReport {
    let instruments = replay.planner().instruments();
    let mut stocks: Vec<_> = instruments.keys().map(|(locate, _)| *locate).collect();
    stocks.dedup();
    ItchReport {
        plan: replay.planner().counts().clone(),
        compared: replay.compared().clone(),
        stocks: stocks.len() as u64,
        instruments: instruments.len() as u64,
        mismatches: replay.mismatches().to_vec(),
        ended,
        requests: replay.requests(),
        answers: replay.answers(),
        elapsed_ns: u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX),
    }
}

/// Hands in messages while they are wanted; true at the end of the file.
fn fill(
    file: &mut ItchFile,
    replay: &mut ItchReplay,
    messages_max: u64,
    progress: &mut dyn FnMut(u64),
) -> Result<bool, ItchError> {
    while replay.wants_messages() {
        let Some(message) = file.next_message()? else {
            return Ok(true);
        };
        if message.number > messages_max {
            return Ok(true);
        }
        replay.handle_message(&message);
        if message.number.is_multiple_of(1000) {
            progress(message.number);
        }
    }
    Ok(false)
}
