//! Scenarios as text: a script of orders in, the events out, line for line.
//!
//! Script lines: `SESSION enter #N SIDE QUANTITY SYMBOL @PRICE [words]`, `SESSION replace #O #N QUANTITY
//! @PRICE [words]`, `SESSION cancel #N TOTAL`, `SESSION modify #N SIDE TOTAL`, `SESSION query`, `SESSION
//! cancel-all #N FIRM SYMBOL [words]`, `SESSION disable #N FIRM`, `SESSION enable #N FIRM`; `-` is a blank
//! firm or symbol. Words: `ioc`, `market`, `hidden`, `post`, and options as `name=value`. Prices are
//! 1/10,000. A line that begins with `>` must be said after the command before it, and nothing else.

use super::*;
use lockstep_record::command::{AccountQuery, DisableEntry, EnableEntry, MassCancel};

fn number<T: std::str::FromStr>(word: &str) -> T {
    let digits = word.trim_start_matches(['#', '@']);
    digits
        .parse()
        .unwrap_or_else(|_| panic!("not a number: {word}"))
}

/// A word padded with spaces; `-` is blank.
fn padded<const N: usize>(word: &str) -> [u8; N] {
    let mut padded = [b' '; N];
    if word != "-" {
        padded[..word.len()].copy_from_slice(word.as_bytes());
    }
    padded
}

fn with_words(mut command: Command, words: &[&str]) -> Command {
    for word in words {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        command = match name {
            "min" => command.option(PartTag::MIN_QUANTITY, number::<u32>(value).to_le_bytes()),
            "firm" => command.option(PartTag::FIRM, value),
            "channel" => command.option(PartTag::USER_REF_IDX, [number::<u8>(value)]),
            "side" => command.option(PartTag::SIDE, value),
            "group" => command.option(PartTag::GROUP_ID, number::<u16>(value).to_le_bytes()),
            "customer" => command.option(PartTag::CUSTOMER_TYPE, value),
            "shows" => command.option(PartTag::MAX_FLOOR, number::<u32>(value).to_le_bytes()),
            "stp" => command.option(PartTag::SELF_TRADE_PREVENTION, value),
            "stop" => command.option(PartTag::STOP_PRICE, number::<u64>(value).to_le_bytes()),
            "kind" => command.option(PartTag::STOP_KIND, value),
            "trail" => command.option(PartTag::TRAIL_OFFSET, number::<i32>(value).to_le_bytes()),
            "post" => command.option(PartTag::POST_ONLY, "P"),
            "ioc" | "market" | "hidden" => command,
            other => panic!("unknown word {other}"),
        };
    }
    command
}

fn parse(line: &str) -> Command {
    let words: Vec<&str> = line.split_whitespace().collect();
    let session = number(words[0]);
    let ioc = if words.contains(&"ioc") { b'3' } else { b'0' };
    match words[1..] {
        ["enter", n, side, quantity, name, price, ref rest @ ..] => {
            let mut body = enter(
                number(n),
                side.as_bytes()[0],
                number(quantity),
                number(price),
            );
            body.symbol = padded(name);
            body.time_in_force = ioc;
            body.display = if rest.contains(&"hidden") { b'N' } else { b'Y' };
            with_words(command(session, 1, body), rest)
        }
        ["replace", original, n, quantity, price, ref rest @ ..] => {
            let mut body = replace(number(original), number(n), number(quantity), number(price));
            body.time_in_force = ioc;
            with_words(command(session, 1, body), rest)
        }
        ["cancel", n, total, ref rest @ ..] => {
            with_words(command(session, 1, cancel(number(n), number(total))), rest)
        }
        ["modify", n, side, total, ref rest @ ..] => {
            let body = modify(number(n), side.as_bytes()[0], number(total));
            with_words(command(session, 1, body), rest)
        }
        ["query", ref rest @ ..] => {
            with_words(command(session, 1, AccountQuery { _reserved: 0 }), rest)
        }
        ["cancel-all", n, firm, symbol, ref rest @ ..] => {
            let (firm, symbol) = (padded(firm), padded(symbol));
            let body = MassCancel {
                user_ref_num: number(n),
                firm,
                symbol,
            };
            with_words(command(session, 1, body), rest)
        }
        ["disable", n, firm] => {
            let body = DisableEntry {
                user_ref_num: number(n),
                firm: padded(firm),
            };
            command(session, 1, body)
        }
        ["enable", n, firm] => {
            let body = EnableEntry {
                user_ref_num: number(n),
                firm: padded(firm),
            };
            command(session, 1, body)
        }
        _ => panic!("cannot read {line}"),
    }
}

/// Runs a scenario: lines that begin with `>` are what must be said after the command before them.
pub fn check(scenario: &str) {
    let mut driver = venue();
    let mut said: Vec<String> = Vec::new();
    let mut last = "";
    for line in scenario
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
    {
        if let Some(wanted) = line.strip_prefix("> ") {
            assert!(
                !said.is_empty(),
                "after '{last}': nothing more was said, wanted '{wanted}'"
            );
            assert_eq!(said.remove(0), wanted, "after '{last}'");
        } else {
            assert!(said.is_empty(), "after '{last}': also said {said:?}");
            said = driver
                .tell(&[parse(line)])
                .iter()
                .map(ToString::to_string)
                .collect();
            last = line;
        }
    }
    assert!(said.is_empty(), "after '{last}': also said {said:?}");
}
