//! `bench replay-market`: files through a venue, one after the other.

mod itch;

use super::args::{ReplayMarketArgs, Symbol, parse_symbol};
use super::{BenchError, Verdict, write};
use crate::itch::reader::is_itch;
use crate::local::{LocalLimits, LocalVenue};
use crate::market::link::VenueLink;
use crate::market::lobster::{LobsterFiles, symbol_of};
use crate::market::replay::ReplayOptions;
use crate::market::report::MarketReport;
use crate::market::run::{RunLimits, run as run_replay};
use crate::market::sockets::{SocketLink, SocketOptions};
use crate::measure::setting::Setting;
use serde::Serialize;
use std::io::{self, IsTerminal, Write};
use std::path::Path;

/// One file's outcome, for JSON.
#[derive(Serialize)]
struct FileReport<R> {
    file: String,
    /// LOBSTER: the file's one symbol.
    symbol: Option<String>,
    setting: Setting,
    report: R,
}

/// What became of one file.
struct Outcome {
    text: String,
    json: serde_json::Value,
    is_clean: bool,
    /// Rows compared, or events reproduced.
    compared: u64,
}

pub(super) fn replay_market(
    args: &ReplayMarketArgs,
    out: &mut dyn Write,
) -> Result<Verdict, BenchError> {
    if args.instruments {
        return print_instruments(args, out);
    }
    let mut reports = Vec::new();
    let mut is_good = true;
    for path in &args.files {
        let name = file_name(path);
        let outcome = if is_itch(path) {
            itch::replay(args, path, &name)?
        } else {
            replay_lobster(args, path, &name)?
        };
        let (compared, least) = (outcome.compared, args.rows_min);
        is_good &= outcome.is_clean && compared >= least;
        if !args.json {
            write(&outcome.text, out)?;
        }
        if compared < least {
            eprintln!("{name}: {compared} compared, fewer than the {least} asked for");
        }
        reports.push(outcome.json);
    }
    if args.json {
        let whole = serde_json::json!({
            "bench": "replay_market", "files": reports, "is_good": is_good,
        });
        write(&serde_json::to_string_pretty(&whole)?, out)?;
    }
    Ok(Verdict::of(is_good))
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

fn setting(args: &ReplayMarketArgs, driver: &str) -> Setting {
    let layout = format!("client unpinned {}", args.idle);
    Setting::new(driver, "not stated", &layout)
}

fn print_instruments(args: &ReplayMarketArgs, out: &mut dyn Write) -> Result<Verdict, BenchError> {
    let mut symbols: Vec<(String, String)> = Vec::new();
    for path in &args.files {
        if is_itch(path) {
            symbols.extend(itch::instruments(args, path)?);
        } else {
            symbols.push((symbol_of(path)?, file_name(path)));
        }
    }
    // One book a symbol, whichever files name it.
    symbols.sort();
    symbols.dedup_by(|a, b| a.0 == b.0);
    for (id, (symbol, what)) in (1..).zip(&symbols) {
        let table =
            format!("[[instrument]] # {what}\nid = {id}\nsymbol = \"{symbol}\"\ntick_size = 1\n");
        write(&table, out)?;
    }
    Ok(Verdict::Good)
}

fn replay_lobster(args: &ReplayMarketArgs, path: &Path, name: &str) -> Result<Outcome, BenchError> {
    let mut files = LobsterFiles::open(path)?;
    let ticker = symbol_of(path)?;
    let (driver, report) = replay_one(args, &mut files, &ticker, name)?;
    let (is_clean, compared) = (report.is_clean(), report.compared.rows);
    let text = format!("{name} ({ticker}, {driver})\n{report}");
    let json = serde_json::to_value(FileReport {
        file: name.to_owned(),
        symbol: Some(ticker),
        setting: setting(args, &driver),
        report,
    })?;
    Ok(Outcome {
        text,
        json,
        is_clean,
        compared,
    })
}

fn replay_one(
    args: &ReplayMarketArgs,
    files: &mut LobsterFiles,
    ticker: &str,
    name: &str,
) -> Result<(String, MarketReport), BenchError> {
    let Symbol(symbol) = parse_symbol(ticker).unwrap_or(Symbol([b' '; 8]));
    let mut options = ReplayOptions::new(symbol);
    options.window = usize::from(args.window);
    options.mismatches_max = usize::from(args.mismatches_max);
    options.cancels_at_end = !args.keep_book;
    let (Some(address), Some(maker), Some(taker), Some(reveal)) =
        (args.address, args.maker, args.taker, args.reveal)
    else {
        let users = [*b"MAKER ", *b"TAKER ", *b"REVEAL"];
        let mut venue = LocalVenue::new(&users, &[symbol], LocalLimits::default())?;
        let report = replay_through(args, files, &mut venue, options, name)?;
        return Ok(("state machine in this process".to_owned(), report));
    };
    let mut link = SocketLink::connect(&SocketOptions {
        address,
        logins: [maker, taker, reveal],
        driver: args.driver,
        idle: args.idle,
    })?;
    options.last_user_refs = link.last_user_refs();
    let driver = link.driver().to_string();
    let report = replay_through(args, files, &mut link, options, name)?;
    link.log_out();
    Ok((driver, report))
}

fn replay_through<L: VenueLink>(
    args: &ReplayMarketArgs,
    files: &mut LobsterFiles,
    link: &mut L,
    options: ReplayOptions,
    name: &str,
) -> Result<MarketReport, BenchError> {
    let limits = RunLimits {
        answer_timeout: args.answer_timeout,
        rows_max: args.rows_max,
    };
    with_progress(name, |progress| {
        Ok(run_replay(files, link, options, limits, progress)?)
    })
}

/// Shows how far `work` is, where somebody looks.
fn with_progress<R>(
    name: &str,
    work: impl FnOnce(&mut dyn FnMut(u64)) -> Result<R, BenchError>,
) -> Result<R, BenchError> {
    let shows = io::stderr().is_terminal();
    let mut progress = |row: u64| {
        if shows {
            eprint!("\r{name}: {row}");
        }
    };
    let result = work(&mut progress);
    if shows {
        eprint!("\r\x1b[K");
    }
    result
}
