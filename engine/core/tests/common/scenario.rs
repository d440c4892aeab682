//! Runs scenarios: a script against a fresh small venue, everything that is said compared with what the
//! script demands.

use super::script::{Line, parse};
use super::*;
use lockstep_record::Side;

/// One scenario of a file.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub title: String,
    /// Number (from 1) and text of each line that is neither blank nor a comment.
    pub lines: Vec<(usize, String)>,
}

/// Splits a file into its scenarios; what stands before the first title must be blank or comment.
pub fn scenarios(text: &str) -> Result<Vec<Scenario>, String> {
    let mut scenarios: Vec<Scenario> = Vec::new();
    for (at, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if let Some(title) = line.strip_prefix("== ") {
            let title = title.trim().to_string();
            if scenarios.iter().any(|other| other.title == title) {
                return Err(format!("line {at}: a second scenario '{title}'"));
            }
            let lines = Vec::new();
            scenarios.push(Scenario { title, lines });
        } else if !line.is_empty() && !line.starts_with("# ") && line != "#" {
            let scenario = scenarios.last_mut();
            let scenario = scenario.ok_or(format!("line {at}: before the first '== title'"))?;
            scenario.lines.push((at, line.to_string()));
        }
    }
    let silent = |scenario: &&Scenario| !scenario.lines.iter().any(|line| line.1.starts_with('>'));
    if let Some(scenario) = scenarios.iter().find(silent) {
        return Err(format!("'{}' demands nothing", scenario.title));
    }
    Ok(scenarios)
}

/// The venue and the epochs of its connections.
struct Stage {
    driver: Driver,
}

impl Stage {
    fn play(&mut self, line: &str) -> Result<Vec<String>, String> {
        match parse(line)? {
            Line::Command(mut command) => {
                let session = SessionId(command.session);
                let view = self.driver.machine.session(session);
                command.epoch = view.map_or(0, |view| view.epoch.0);
                Ok(lines(&self.driver.tell(&[command])))
            }
            Line::Later(ns) => {
                // The batch itself takes one ns.
                self.driver.timestamp += ns.saturating_sub(1);
                Ok(lines(&self.driver.tell(&[])))
            }
            Line::Term => Ok(lines(&self.driver.term_start())),
            Line::Book(symbol) => self.book(symbol),
        }
    }

    /// The orders of a book as lines, bids first, each side best first.
    fn book(&self, symbol: [u8; 8]) -> Result<Vec<String>, String> {
        let machine = &self.driver.machine;
        let instrument = machine.instruments().find(|view| view.symbol == symbol);
        let instrument = instrument
            .ok_or("no instrument has this symbol")?
            .instrument;
        let sides = [Side::Buy, Side::Sell].into_iter();
        let orders = sides.flat_map(|side| machine.book_orders(instrument, side));
        let said = orders.map(|order| {
            let who = user_ref(order.user_ref);
            let (session, side, price) = (order.session.0, order.side as char, order.price.0);
            let reserve = match order.open - order.shown {
                0 => String::new(),
                reserve => format!(" reserve {reserve}"),
            };
            format!("{side} {} @{price} {session} {who}{reserve}", order.shown)
        });
        let said: Vec<String> = said.collect();
        Ok(if said.is_empty() {
            vec!["empty".into()]
        } else {
            said
        })
    }
}

/// Runs a scenario. An error names the line and ends with all that the venue said, as a script would
/// demand it.
pub fn run(scenario: &Scenario) -> Result<(), String> {
    let mut stage = Stage { driver: venue() };
    let mut log = String::new();
    let mut said: std::collections::VecDeque<String> = Default::default();
    let mut wrong: Option<String> = None;
    let mut fail = |at: usize, what: String| {
        if wrong.is_none() {
            wrong = Some(format!("line {at}: {what}"));
        }
    };
    let mut last = 0;
    for (at, line) in &scenario.lines {
        if let Some(wanted) = line.strip_prefix('>') {
            let wanted = wanted.trim();
            match said.pop_front() {
                Some(said) if said == wanted => {}
                Some(said) => fail(*at, format!("wanted '{wanted}', the venue said '{said}'")),
                None => fail(
                    *at,
                    format!("wanted '{wanted}', the venue said nothing more"),
                ),
            }
            continue;
        }
        if !said.is_empty() {
            fail(last, format!("the venue also said {said:?}"));
        }
        last = *at;
        match stage.play(line) {
            Ok(answers) => {
                log += &format!("    {line}\n");
                log.extend(answers.iter().map(|line| format!("    > {line}\n")));
                said = answers.into();
            }
            Err(what) => {
                fail(*at, format!("cannot read '{line}': {what}"));
                break;
            }
        }
    }
    if !said.is_empty() {
        fail(last, format!("the venue also said {said:?}"));
    }
    wrong.map_or(Ok(()), |wrong| {
        Err(format!("{wrong}\n  what the venue said:\n{log}"))
    })
}

/// Runs one scenario given as text, without a title.
pub fn check(script: &str) {
    let all = scenarios(&format!("== a scenario\n{script}")).unwrap();
    if let Err(wrong) = run(&all[0]) {
        panic!("{wrong}");
    }
}
