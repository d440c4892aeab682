//! One line of a scenario as a command; `../scenarios/README.md` is the grammar.
//!
//! A new verb is a row in `parse_client` or `parse_operator`; a new option is a row in `options.rs`. What a
//! line says and this file does not know is an error with the word in it, never skipped.

use super::*;
use lockstep_record::command::{AccountQuery, DisableEntry, EnableEntry, MassCancel};

type Parsed<T> = Result<T, String>;

/// A line of a script.
#[derive(Clone, Debug)]
pub enum Line {
    /// A record of a client (with the epoch left to the runner) or of the operator.
    Command(Command),
    /// So many ns pass; what falls due is said.
    Later(u64),
    /// A new leader's term begins: all connections end.
    Term,
    /// Prints the orders of a book.
    Book([u8; 8]),
}

fn number<T: std::str::FromStr>(word: &str) -> Parsed<T> {
    let digits = word.strip_prefix(['#', '@']).unwrap_or(word);
    digits.parse().map_err(|_| format!("not a number: {word}"))
}

/// A price in 1/10,000, or `@market`.
fn price(word: &str) -> Parsed<u64> {
    if word == "@market" {
        return Ok(0x7FFF_FFFF);
    }
    number(word)
}

fn letter(word: &str) -> Parsed<u8> {
    match word.as_bytes() {
        [letter] => Ok(*letter),
        _ => Err(format!("not one letter: {word}")),
    }
}

/// A word padded with spaces; `-` is blank.
fn padded<const N: usize>(word: &str) -> Parsed<[u8; N]> {
    let mut padded = [b' '; N];
    match word {
        "-" => {}
        word if word.len() <= N => padded[..word.len()].copy_from_slice(word.as_bytes()),
        word => return Err(format!("more than {N} letters: {word}")),
    }
    Ok(padded)
}

/// The letters of an order or replacement that have a default.
struct Letters<'a> {
    time_in_force: &'a mut u8,
    display: &'a mut u8,
    sweep: &'a mut u8,
    capacity: Option<&'a mut u8>,
    cross: Option<&'a mut u8>,
}

impl Letters<'_> {
    /// Takes a word that is a letter of the body; false if it is something else.
    fn take(&mut self, name: &str, value: &str) -> Parsed<bool> {
        match (name, value) {
            ("ioc", "") => *self.time_in_force = b'3',
            ("hidden", "") => *self.display = b'N',
            ("tif", _) => *self.time_in_force = letter(value)?,
            ("display", _) => *self.display = letter(value)?,
            ("sweep", _) => *self.sweep = letter(value)?,
            ("capacity", _) => match &mut self.capacity {
                Some(capacity) => **capacity = letter(value)?,
                None => return Err("a replacement has no capacity".into()),
            },
            ("cross", _) => match &mut self.cross {
                Some(cross) => **cross = letter(value)?,
                None => return Err("a replacement has no cross type".into()),
            },
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// Splits words into the body's letters, which are set, and options, which are returned.
fn split<'a>(words: &[&'a str], mut letters: Letters<'_>) -> Parsed<Vec<&'a str>> {
    let mut options = Vec::new();
    for word in words {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        if !letters.take(name, value)? {
            options.push(*word);
        }
    }
    Ok(options)
}

fn with_options(mut command: Command, words: &[&str]) -> Parsed<Command> {
    for word in words {
        let word = if *word == "post" { "post=P" } else { word };
        let (name, value) = word
            .split_once('=')
            .ok_or_else(|| format!("'{word}' is not a word of this line"))?;
        let (tag, value) = options::read(name, value)?;
        command = command.option(tag, value);
    }
    Ok(command)
}

fn parse_enter(session: u32, words: &[&str]) -> Parsed<Command> {
    let [n, side, quantity, symbol, at, rest @ ..] = words else {
        return Err("enter #N SIDE QUANTITY SYMBOL @PRICE".into());
    };
    let mut body = enter(number(n)?, letter(side)?, number(quantity)?, price(at)?);
    body.symbol = padded(symbol)?;
    let letters = Letters {
        time_in_force: &mut body.time_in_force,
        display: &mut body.display,
        sweep: &mut body.intermarket_sweep,
        capacity: Some(&mut body.capacity),
        cross: Some(&mut body.cross_type),
    };
    let options = split(rest, letters)?;
    with_options(command(session, 0, body), &options)
}

fn parse_replace(session: u32, words: &[&str]) -> Parsed<Command> {
    let [original, n, quantity, at, rest @ ..] = words else {
        return Err("replace #ORIGINAL #N TOTAL @PRICE".into());
    };
    let mut body = replace(number(original)?, number(n)?, number(quantity)?, price(at)?);
    let letters = Letters {
        time_in_force: &mut body.time_in_force,
        display: &mut body.display,
        sweep: &mut body.intermarket_sweep,
        capacity: None,
        cross: None,
    };
    let options = split(rest, letters)?;
    with_options(command(session, 0, body), &options)
}

fn parse_client(session: u32, words: &[&str]) -> Parsed<Command> {
    let client = |body: Request| command(session, 0, body);
    match words {
        ["enter", rest @ ..] => parse_enter(session, rest),
        ["replace", rest @ ..] => parse_replace(session, rest),
        ["cancel", n, total, rest @ ..] => {
            with_options(client(cancel(number(n)?, number(total)?).into()), rest)
        }
        ["modify", n, side, total, rest @ ..] => {
            let body = modify(number(n)?, letter(side)?, number(total)?);
            with_options(client(body.into()), rest)
        }
        ["query", rest @ ..] => with_options(client(AccountQuery { _reserved: 0 }.into()), rest),
        ["cancel-all", n, firm, symbol, rest @ ..] => {
            let body = MassCancel {
                user_ref_num: number(n)?,
                firm: padded(firm)?,
                symbol: padded(symbol)?,
            };
            with_options(client(body.into()), rest)
        }
        ["disable", n, firm, rest @ ..] => {
            let (user_ref_num, firm) = (number(n)?, padded(firm)?);
            let body = DisableEntry { user_ref_num, firm };
            with_options(client(body.into()), rest)
        }
        ["enable", n, firm, rest @ ..] => {
            let (user_ref_num, firm) = (number(n)?, padded(firm)?);
            let body = EnableEntry { user_ref_num, firm };
            with_options(client(body.into()), rest)
        }
        ["login"] => Ok(login(session, &user(session)?, 0)),
        ["login", from] => Ok(login(session, &user(session)?, number(from)?)),
        ["logout"] => Ok(client(
            Logout {
                connection: u64::from(session),
            }
            .into(),
        )),
        ["disconnect"] => Ok(client(
            Disconnect {
                connection: u64::from(session),
                reason: 1,
                _reserved: [0; 7],
            }
            .into(),
        )),
        _ => Err("not a request".into()),
    }
}

fn user(session: u32) -> Parsed<[u8; 6]> {
    let index = (session as usize).wrapping_sub(1);
    let user = USERS.get(index).copied();
    user.ok_or_else(|| format!("session {session} is not of the venue"))
}

fn parse_operator(words: &[&str]) -> Parsed<Command> {
    match words {
        ["state", instrument, state] => Ok(set_state(number(instrument)?, letter(state)?)),
        ["open-day", date] => Ok(open_day(number(date)?)),
        ["close-day"] => Ok(close_day()),
        ["session", session, firm, rest @ ..] => {
            let session = number(session)?;
            let mut body = DefineSession {
                session,
                firm: number(firm)?,
                user: user(session)?,
                cancel_on_disconnect: 0,
                order_entry: 1,
                _reserved: [0; 8],
            };
            let mut options = Vec::new();
            for word in rest {
                match *word {
                    "cancel-on-disconnect" => body.cancel_on_disconnect = 1,
                    "no-entry" => body.order_entry = 0,
                    option => options.push(option),
                }
            }
            with_options(operator(body), &options)
        }
        ["instrument", instrument, symbol, tick, lot, rest @ ..] => {
            let (instrument, symbol) = (number(instrument)?, padded(symbol)?);
            let body = define_instrument(instrument, &symbol, number(tick)?, number(lot)?);
            with_options(body, rest)
        }
        _ => Err("not an operator's command".into()),
    }
}

/// A span such as `5s`, `20ms`, `7ns`.
fn span_ns(word: &str) -> Parsed<u64> {
    let units = [("ms", 1_000_000), ("ns", 1), ("s", 1_000_000_000)];
    let unit = units.iter().find(|unit| word.ends_with(unit.0));
    let (name, ns) = unit.ok_or_else(|| format!("not a time in s, ms or ns: {word}"))?;
    let count: u64 = number(&word[..word.len() - name.len()])?;
    count.checked_mul(*ns).ok_or_else(|| "too long".into())
}

/// Reads a line of a script.
pub fn parse(line: &str) -> Parsed<Line> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words[..] {
        ["later", span] => span_ns(span).map(Line::Later),
        ["term"] => Ok(Line::Term),
        ["book", symbol] => padded(symbol).map(Line::Book),
        ["operator", ref rest @ ..] => parse_operator(rest).map(Line::Command),
        [session, ref rest @ ..] => parse_client(number(session)?, rest).map(Line::Command),
        [] => Err("an empty line".into()),
    }
}
