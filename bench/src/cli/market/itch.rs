//! ITCH files of `bench replay-market`.

use super::{FileReport, Outcome, setting, with_progress};
use crate::cli::BenchError;
use crate::cli::args::ReplayMarketArgs;
use crate::itch::reader::ItchFile;
use crate::itch::replay::ItchOptions;
use crate::itch::report::ItchReport;
use crate::itch::run::{ItchLimits, Needs, needs, run};
use crate::local::{LocalLimits, LocalVenue};
use crate::market::link::VenueLink;
use crate::market::sockets::{SocketLink, SocketOptions};
use std::path::Path;

/// Symbol of each instrument that the file needs, and what it is for.
pub fn instruments(
    args: &ReplayMarketArgs,
    path: &Path,
) -> Result<Vec<(String, String)>, BenchError> {
    let needs = needs(path, args.rows_max)?;
    let text = |symbol: &[u8; 8]| String::from_utf8_lossy(symbol).trim_end().to_owned();
    let named = |((locate, lane), symbol): (&(u16, u16), &[u8; 8])| {
        let what = match lane {
            0 => format!("stock {locate}"),
            1 => format!("stock {locate}, bids that would trade at once"),
            2 => format!("stock {locate}, asks that would trade at once"),
            _ => format!("stock {locate}, an order that executes out of turn"),
        };
        (text(symbol), what)
    };
    Ok(needs.instruments.iter().map(named).collect())
}

pub(super) fn replay(
    args: &ReplayMarketArgs,
    path: &Path,
    name: &str,
) -> Result<Outcome, BenchError> {
    let needs = needs(path, args.rows_max)?;
    let (driver, report) = replay_one(args, path, &needs, name)?;
    let (is_clean, compared) = (report.is_clean(), report.compared.events());
    let text = format!("{name} (ITCH 5.0, {driver})\n{report}");
    let json = serde_json::to_value(FileReport {
        file: name.to_owned(),
        symbol: None,
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
    path: &Path,
    needs: &Needs,
    name: &str,
) -> Result<(String, ItchReport), BenchError> {
    let (Some(address), Some(maker), Some(taker), Some(reveal)) =
        (args.address, args.maker, args.taker, args.reveal)
    else {
        let users = [*b"MAKER ", *b"TAKER ", *b"REVEAL"];
        let symbols: Vec<_> = needs.instruments.values().copied().collect();
        let limits = LocalLimits::for_live_orders(needs.live_max);
        let mut venue = LocalVenue::new(&users, &symbols, limits)?;
        let report = replay_through(args, path, needs, &mut venue, [0; 2], name)?;
        return Ok(("state machine in this process".to_owned(), report));
    };
    let mut link = SocketLink::connect(&SocketOptions {
        address,
        logins: [maker, taker, reveal],
        driver: args.driver,
        idle: args.idle,
    })?;
    let [maker, taker, _] = link.last_user_refs();
    let driver = link.driver().to_string();
    let report = replay_through(args, path, needs, &mut link, [maker, taker], name)?;
    link.log_out();
    Ok((driver, report))
}

fn replay_through<L: VenueLink>(
    args: &ReplayMarketArgs,
    path: &Path,
    needs: &Needs,
    link: &mut L,
    last_user_refs: [u32; 2],
    name: &str,
) -> Result<ItchReport, BenchError> {
    let options = ItchOptions {
        last_user_refs,
        window: usize::from(args.window),
        mismatches_max: usize::from(args.mismatches_max),
    };
    let limits = ItchLimits {
        answer_timeout: args.answer_timeout,
        messages_max: args.rows_max,
        cancels_at_end: !args.keep_book,
    };
    let mut file = ItchFile::open(path)?;
    let survey = needs.survey.clone();
    with_progress(name, |progress| {
        Ok(run(&mut file, link, survey, options, limits, progress)?)
    })
}
