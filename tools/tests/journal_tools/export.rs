//! `journal export`: tables that say what clients were told, and an ITCH file whose book is the venue's.

use crate::busy::{FIRST_DAY, SECOND_DAY, two_days};
use crate::fixture::{Made, stopped};
use lockstep_record::event::{Control, Delivery, Event, EventSink, NullSink};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

fn export(made: &Made, folder: &Path, more: &[&str]) -> Value {
    let mut arguments = vec![
        "export",
        "{dir}",
        "--json",
        "--out",
        folder.to_str().unwrap(),
    ];
    arguments.extend(more);
    let (code, seen) = made.json(&arguments);
    assert_eq!(code, 0, "{seen}");
    seen
}

/// One message of an ITCH file.
struct Message {
    bytes: Vec<u8>,
}

impl Message {
    fn kind(&self) -> u8 {
        self.bytes[0]
    }
    fn number(&self, at: usize, length: usize) -> u64 {
        let bytes = &self.bytes[at..at + length];
        bytes
            .iter()
            .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
    }
}

/// Sizes from Nasdaq's specification; a message of another size is not ITCH.
const SIZES: &[(u8, usize)] = &[
    (b'S', 12),
    (b'R', 39),
    (b'H', 25),
    (b'A', 36),
    (b'E', 31),
    (b'C', 36),
    (b'X', 23),
    (b'D', 19),
    (b'U', 35),
    (b'P', 44),
    (b'Q', 40),
    (b'B', 19),
];

/// The messages, and whether the file says that nothing comes behind them.
fn messages(path: &Path) -> (Vec<Message>, bool) {
    let bytes = fs::read(path).unwrap();
    let (mut rest, mut found) = (&bytes[..], Vec::new());
    while !rest.is_empty() {
        let length = usize::from(u16::from_be_bytes([rest[0], rest[1]]));
        if length == 0 {
            assert_eq!(rest.len(), 2, "bytes behind the end");
            return (found, true);
        }
        let message = Message {
            bytes: rest[2..2 + length].to_vec(),
        };
        let size = SIZES.iter().find(|(kind, _)| *kind == message.kind());
        assert_eq!(
            size.map(|(_, size)| *size),
            Some(length),
            "{}",
            message.kind()
        );
        found.push(message);
        rest = &rest[2 + length..];
    }
    (found, false)
}

/// Shares by price of one side.
type Side = BTreeMap<u64, u64>;

/// What a reader of the feed knows.
#[derive(Default)]
struct Reader {
    /// Reference to locate, side, shares, price.
    orders: HashMap<u64, (u64, u8, u64, u64)>,
    states: HashMap<u64, u8>,
    events: Vec<u8>,
    kinds: BTreeMap<char, u64>,
    volume: u64,
    last_ns: u64,
}

impl Reader {
    fn read(messages: &[Message]) -> Self {
        let mut reader = Self::default();
        for message in messages {
            reader.take(message);
        }
        reader
    }

    fn take(&mut self, m: &Message) {
        *self.kinds.entry(char::from(m.kind())).or_default() += 1;
        let (locate, time) = (m.number(1, 2), m.number(5, 6));
        assert!(time >= self.last_ns, "time goes back");
        self.last_ns = time;
        let reference = m.number(11, 8.min(m.bytes.len() - 11));
        match m.kind() {
            b'S' => self.events.push(m.bytes[11]),
            b'H' => drop(self.states.insert(locate, m.bytes[19])),
            b'A' => {
                let order = (locate, m.bytes[19], m.number(20, 4), m.number(32, 4));
                assert!(order.2 > 0, "an order without shares");
                assert!(
                    self.orders.insert(reference, order).is_none(),
                    "{reference} added twice"
                );
            }
            b'E' | b'C' => {
                self.take_away(reference, m.number(19, 4));
                self.volume += m.number(19, 4);
            }
            b'X' => self.take_away(reference, m.number(19, 4)),
            b'D' => assert!(
                self.orders.remove(&reference).is_some(),
                "{reference} is not there"
            ),
            b'U' => {
                let (locate, side, ..) = self.orders.remove(&reference).expect("an original");
                let order = (locate, side, m.number(27, 4), m.number(31, 4));
                assert!(self.orders.insert(m.number(19, 8), order).is_none());
            }
            b'P' => self.volume += m.number(20, 4),
            _ => {}
        }
    }

    fn take_away(&mut self, reference: u64, shares: u64) {
        let order = self.orders.get_mut(&reference).expect("a known order");
        order.2 = order
            .2
            .checked_sub(shares)
            .expect("no more shares than it has");
        if order.2 == 0 {
            self.orders.remove(&reference);
        }
    }

    fn side(&self, locate: u64, wanted: u8) -> Side {
        let mut side = Side::new();
        for (of, letter, shares, price) in self.orders.values() {
            if (*of, *letter) == (locate, wanted) {
                *side.entry(*price).or_default() += shares;
            }
        }
        side
    }
}

/// The displayed book that a replay leads to.
fn book(made: &Made, until: u64) -> Value {
    let until = until.to_string();
    let (code, seen) = made.json(&["replay", "{dir}", "--json", "--books", "--until", &until]);
    assert_eq!(code, 0);
    seen["books"].clone()
}

/// At many moments of two busy days: whoever reads the feed has the venue's displayed book, level for level.
#[test]
fn the_feed_s_book_is_the_venue_s() {
    let made = two_days(7, &mut NullSink).stop();
    let last = made.machine.last_sequence().0;
    let mut levels = 0;
    let mut kinds: BTreeMap<char, u64> = BTreeMap::new();
    for until in (60..=last).step_by((last / 24) as usize).chain([last]) {
        let folder = TempDir::new().unwrap();
        let text = until.to_string();
        let seen = export(
            &made,
            folder.path(),
            &["--format", "itch", "--until", &text],
        );
        let path = PathBuf::from(seen["files"][0]["path"].as_str().unwrap());
        let (messages, ended) = messages(&path);
        assert_eq!(seen["files"][0]["count"], messages.len());
        assert_eq!(seen["complete"], ended);
        let reader = Reader::read(&messages);
        for instrument in book(&made, until).as_array().unwrap() {
            let locate = instrument["instrument"].as_u64().unwrap();
            for (name, letter) in [("bids", b'B'), ("asks", b'S')] {
                let venue = instrument[name].as_array().unwrap().iter();
                let venue: Side = venue
                    .map(|l| {
                        (
                            l["price"].as_u64().unwrap(),
                            l["quantity"].as_u64().unwrap(),
                        )
                    })
                    .collect();
                assert_eq!(
                    reader.side(locate, letter),
                    venue,
                    "{until} {locate} {name}"
                );
                levels += venue.len();
            }
            let halted = instrument["state"] != "Trading";
            let shown = reader.states.get(&locate).copied();
            assert_eq!(shown, Some(if halted { b'H' } else { b'T' }));
        }
        for (kind, count) in reader.kinds {
            *kinds.entry(kind).or_default() += count;
        }
    }
    assert!(levels > 200, "only {levels} levels were compared");
    for kind in ['S', 'R', 'H', 'A', 'E', 'X', 'D', 'U', 'P'] {
        assert!(
            kinds.get(&kind).is_some_and(|count| *count > 10),
            "{kind} in {kinds:?}"
        );
    }
}

#[test]
fn a_day_is_chosen_and_a_whole_one_is_ended() {
    let made = two_days(8, &mut NullSink).stop();
    let folder = TempDir::new().unwrap();
    let day = FIRST_DAY.to_string();
    let seen = export(&made, folder.path(), &["--format", "itch", "--day", &day]);
    assert_eq!(
        (&seen["day"], &seen["complete"]),
        (&FIRST_DAY.into(), &true.into())
    );
    let (messages, ended) = messages(&folder.path().join("20260102.itch"));
    let reader = Reader::read(&messages);
    assert!(ended);
    assert_eq!(reader.events, b"OSQMEC");
    // Orders that outlive the day are on no feed of it any more than the others.
    let seen = export(&made, folder.path(), &["--format", "itch"]);
    assert_eq!(
        (&seen["day"], &seen["complete"]),
        (&SECOND_DAY.into(), &false.into())
    );
    let (second, ended) = self::messages(&folder.path().join("20260103.itch"));
    assert!(!ended && second.len() > 100);
    let absent = TempDir::new().unwrap();
    let out = absent.path().to_str().unwrap();
    let ran = made.run(&[
        "export", "{dir}", "--format", "itch", "--day", "20250101", "--out", out,
    ]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert_eq!(fs::read_dir(absent.path()).unwrap().count(), 0);
}

/// What sessions were told, counted as it happened.
#[derive(Default)]
struct Told {
    orders: u64,
    executions: u64,
    shares: u64,
    matches: BTreeMap<u64, (u64, u64)>,
}

impl EventSink for Told {
    fn deliver(&mut self, _: &Delivery, event: Event<'_>) {
        self.orders += u64::from(!matches!(event, Event::System(_)));
        if let Event::Executed(e) = &event {
            self.executions += 1;
            self.shares += u64::from(e.quantity);
            let trade = (e.price.0, e.quantity.into());
            let before = self.matches.insert(e.match_number.0, trade);
            assert!(before.is_none_or(|before| before == trade));
        }
    }
    fn control(&mut self, _: &Control) {}
}

/// Heading and rows; the fixture's text has commas and quotes in it.
fn csv(path: &Path) -> Vec<Vec<String>> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(csv_line).collect()
}

fn csv_line(line: &str) -> Vec<String> {
    let (mut cells, mut cell, mut quoted) = (Vec::new(), String::new(), false);
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => cell.extend(letters.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(std::mem::take(&mut cell)),
            _ => cell.push(letter),
        }
    }
    cells.push(cell);
    cells
}

/// A Parquet value as the CSV file prints it.
fn printed(field: &Field) -> String {
    match field {
        Field::Null => String::new(),
        Field::ULong(number) => number.to_string(),
        Field::Str(text) => text.clone(),
        Field::Decimal(decimal) => {
            let bytes = decimal.data().iter();
            let value = bytes.fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
            assert_eq!(decimal.scale(), 4);
            format!("{}.{:04}", value / 10_000, value % 10_000)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn tables_say_what_clients_were_told() {
    let mut told = Told::default();
    let made = two_days(9, &mut told).stop();
    let folder = TempDir::new().unwrap();
    let seen = export(&made, folder.path(), &["--format", "csv"]);
    export(&made, folder.path(), &["--format", "parquet"]);
    assert_eq!(seen["matches_with_one_side"], 0);
    let count = |name: &str| csv(&folder.path().join(format!("{name}.csv"))).len() as u64 - 1;
    assert!(told.executions > 200, "a flow without trades proves little");
    assert_eq!(count("executions"), told.executions);
    assert_eq!(count("trades"), told.matches.len() as u64);
    assert_eq!(count("orders"), told.orders);
    let trades = csv(&folder.path().join("trades.csv"));
    let place = |name: &str| trades[0].iter().position(|n| n == name).unwrap();
    for trade in &trades[1..] {
        let number: u64 = trade[place("match_number")].parse().unwrap();
        let (price, quantity) = told.matches[&number];
        assert_eq!(trade[place("quantity")], quantity.to_string());
        assert_eq!(
            trade[place("price")],
            format!("{}.{:04}", price / 10_000, price % 10_000)
        );
        assert!(["B", "S"].contains(&trade[place("aggressor")].as_str()));
    }
    for name in ["orders", "executions", "trades"] {
        compare(&folder.path().join(name));
    }
}

/// The CSV and the Parquet file hold the same rows.
fn compare(path: &Path) {
    let rows = csv(&path.with_extension("csv"));
    let file = File::open(path.with_extension("parquet")).unwrap();
    let reader = SerializedFileReader::new(file).unwrap();
    let mut compared = 0;
    for (row, expected) in reader.get_row_iter(None).unwrap().zip(&rows[1..]) {
        let row = row.unwrap();
        for ((name, field), (heading, cell)) in
            row.get_column_iter().zip(rows[0].iter().zip(expected))
        {
            assert_eq!(name, heading);
            if name == "time" {
                // Another type: compared by its presence only; the sequence beside it is exact.
                assert_ne!(field, &Field::Null);
            } else {
                assert_eq!(&printed(field), cell, "{name}");
            }
        }
        compared += 1;
    }
    assert_eq!(compared, rows.len() - 1);
    assert_eq!(
        reader.metadata().file_metadata().num_rows(),
        compared as i64
    );
}

#[test]
fn nothing_is_overwritten_and_only_what_was_asked_for_is_written() {
    let made = stopped();
    let folder = TempDir::new().unwrap();
    let out = folder.path().to_str().unwrap();
    let arguments = [
        "export", "{dir}", "--format", "csv", "--table", "trades", "--out", out,
    ];
    assert_eq!(made.run(&arguments).code, 0);
    let names: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(names.len(), 1);
    let again = made.run(&arguments);
    assert_eq!(again.code, 2);
    assert!(again.err.contains("not overwritten"), "{}", again.err);
    assert_eq!(
        made.run(&["export", "{dir}", "--format", "csv", "--out"])
            .code,
        2
    );
}
