//! `bench replay-market`: files through a venue, one after the other.

use super::args::{ReplayMarketArgs, Symbol, parse_symbol};
use super::{BenchError, Verdict, write};
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

/// One file's outcome, for JSON.
#[derive(Serialize)]
struct FileReport {
    file: String,
    symbol: String,
    setting: Setting,
    report: MarketReport,
}

pub(super) fn replay_market(
    args: &ReplayMarketArgs,
    out: &mut dyn Write,
) -> Result<Verdict, BenchError> {
    let mut reports = Vec::new();
    let mut is_good = true;
    for path in &args.files {
        let mut files = LobsterFiles::open(path)?;
        let ticker = symbol_of(path)?;
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let (driver, report) = replay_one(args, &mut files, &ticker, &name)?;
        is_good &= report.is_clean() && report.compared.rows >= args.rows_min;
        if !args.json {
            write(&format!("{name} ({ticker}, {driver})\n{report}"), out)?;
            if report.compared.rows < args.rows_min {
                let (rows, rows_min) = (report.compared.rows, args.rows_min);
                eprintln!("{name}: {rows} rows compared, fewer than the {rows_min} asked for");
            }
        }
        reports.push(FileReport {
            file: name,
            symbol: ticker,
            setting: Setting::new(
                &driver,
                "not stated",
                &format!("client unpinned {}", args.idle),
            ),
            report,
        });
    }
    if args.json {
        let whole = serde_json::json!({ "files": reports, "is_good": is_good });
        write(&serde_json::to_string_pretty(&whole)?, out)?;
    }
    Ok(Verdict::of(is_good))
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
    let shows = io::stderr().is_terminal();
    let mut progress = |row: u64| {
        if shows {
            eprint!("\r{name}: row {row}");
        }
    };
    let report = run_replay(files, link, options, limits, &mut progress);
    if shows {
        eprint!("\r\x1b[K");
    }
    Ok(report?)
}
