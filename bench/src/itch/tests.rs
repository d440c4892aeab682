use super::reader::{ItchError, ItchFile, ItchKind};
use super::replay::{ItchOptions, ItchReplay};
use super::report::{Event, ItchReport, Skip};
use super::run::{ItchLimits, Needs, needs, run};
use crate::client::request::REQUEST_LENGTH_MAX;
use crate::flow::model::{Flow, FlowAction};
use crate::flow::options::{FlowOptions, SymbolOptions};
use crate::local::{LocalLimits, LocalVenue};
use crate::market::link::{Conversation, LinkError, VenueLink};
use crate::market::report::Ended;
use lockstep_record::Side;
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::time::Duration;

const USERS: [[u8; 6]; 3] = [*b"MAKER ", *b"TAKER ", *b"REVEAL"];
const LIMITS: ItchLimits = ItchLimits {
    answer_timeout: Duration::from_millis(200),
    messages_max: u64::MAX,
    cancels_at_end: true,
};

fn options() -> ItchOptions {
    ItchOptions {
        last_user_refs: [0; 2],
        window: 64,
        mismatches_max: 5,
    }
}

fn venue(needs: &Needs) -> LocalVenue {
    let symbols: Vec<_> = needs.instruments.values().copied().collect();
    let limits = LocalLimits::for_live_orders(needs.live_max);
    LocalVenue::new(&USERS, &symbols, limits).expect("definitions")
}

fn replay<L: VenueLink>(path: &Path, needs: &Needs, link: &mut L) -> ItchReport {
    let mut file = ItchFile::open(path).expect("readable");
    let survey = needs.survey.clone();
    run(&mut file, link, survey, options(), LIMITS, &mut |_| {}).expect("sound")
}

/// Writes ITCH messages, framed.
#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
    time: u64,
}

impl Writer {
    fn message(&mut self, kind: u8, locate: u16, fields: &[&[u8]]) {
        self.time += 1_000;
        let fields = fields.concat();
        let length = 11 + fields.len() as u16;
        self.bytes.extend(length.to_be_bytes());
        self.bytes.push(kind);
        self.bytes.extend(locate.to_be_bytes());
        self.bytes.extend([0; 2]);
        self.bytes.extend(&self.time.to_be_bytes()[2..]);
        self.bytes.extend(fields);
    }

    fn add(&mut self, locate: u16, order: u64, side: Side, shares: u32, price: u32) {
        let side = if side == Side::Buy { b'B' } else { b'S' };
        let symbol = [b'A' + locate as u8; 8];
        let (order, shares) = (order.to_be_bytes(), shares.to_be_bytes());
        let fields: [&[u8]; 5] = [&order, &[side], &shares, &symbol, &price.to_be_bytes()];
        self.message(b'A', locate, &fields);
    }

    fn execute(&mut self, locate: u16, order: u64, shares: u32) {
        let fields: [&[u8]; 3] = [&order.to_be_bytes(), &shares.to_be_bytes(), &[0; 8]];
        self.message(b'E', locate, &fields);
    }

    fn cancel(&mut self, locate: u16, order: u64, shares: u32) {
        self.message(b'X', locate, &[&order.to_be_bytes(), &shares.to_be_bytes()]);
    }

    fn delete(&mut self, locate: u16, order: u64) {
        self.message(b'D', locate, &[&order.to_be_bytes()]);
    }

    fn replace(&mut self, locate: u16, original: u64, order: u64, shares: u32, price: u32) {
        let (original, order) = (original.to_be_bytes(), order.to_be_bytes());
        let fields: [&[u8]; 4] = [
            &original,
            &order,
            &shares.to_be_bytes(),
            &price.to_be_bytes(),
        ];
        self.message(b'U', locate, &fields);
    }

    fn save(&self, folder: &tempfile::TempDir) -> PathBuf {
        let path = folder.path().join("made.itch");
        std::fs::write(&path, &self.bytes).expect("written");
        path
    }
}

/// The file that a venue would write of a flow: (reference, side, price, open) in time priority.
#[derive(Default)]
struct Recorder {
    writer: Writer,
    books: [Vec<(u64, Side, u64, u32)>; 2],
    references: BTreeMap<u32, u64>,
    next: u64,
    counts: BTreeMap<Event, u64>,
}

impl Recorder {
    fn count(&mut self, event: Event) {
        *self.counts.entry(event).or_default() += 1;
    }

    /// Trades as a venue would; returns the shares left.
    fn aggress(&mut self, symbol: usize, side: Side, limit: u64, mut quantity: u32) -> u32 {
        while quantity > 0 {
            let within = |price: u64| match side {
                Side::Buy => price <= limit,
                Side::Sell => price >= limit,
            };
            let book = &mut self.books[symbol];
            let opposite = book.iter().filter(|o| o.1 != side && within(o.2));
            let best = match side {
                Side::Buy => opposite.map(|o| o.2).min(),
                Side::Sell => opposite.map(|o| o.2).max(),
            };
            let Some(best) = best else { return quantity };
            let first = book.iter().position(|o| o.1 != side && o.2 == best);
            let at = first.expect("the best price has an order");
            let traded = quantity.min(book[at].3);
            quantity -= traded;
            book[at].3 -= traded;
            let (reference, open) = (book[at].0, book[at].3);
            if open == 0 {
                book.remove(at);
            }
            self.writer.execute(symbol as u16 + 1, reference, traded);
            self.count(Event::Execute);
        }
        0
    }

    /// A new order: what does not trade at once rests. The flow believes in a book of its own, so it may.
    fn enter(&mut self, symbol: usize, slot: u32, side: Side, price: u64, quantity: u32) {
        let left = self.aggress(symbol, side, price, quantity);
        if left == 0 {
            return;
        }
        self.next += 1;
        self.references.insert(slot, self.next);
        self.books[symbol].push((self.next, side, price, left));
        let locate = symbol as u16 + 1;
        self.writer.add(locate, self.next, side, left, price as u32);
        self.count(Event::Add);
    }

    fn would_trade(&self, symbol: usize, side: Side, price: u64) -> bool {
        self.books[symbol].iter().any(|o| match side {
            Side::Buy => o.1 != side && o.2 <= price,
            Side::Sell => o.1 != side && o.2 >= price,
        })
    }

    /// Position of a flow's order, if it lives.
    fn find(&self, symbol: usize, slot: u32) -> Option<usize> {
        let reference = self.references.get(&slot)?;
        self.books[symbol].iter().position(|o| o.0 == *reference)
    }

    fn event(&mut self, symbol: usize, action: FlowAction) {
        let locate = symbol as u16 + 1;
        match action {
            FlowAction::Enter {
                slot,
                side,
                price,
                quantity,
            } => self.enter(symbol, slot.0, side, price, quantity),
            FlowAction::Aggress {
                side,
                price,
                quantity,
                ..
            } => {
                self.aggress(symbol, side, price, quantity);
            }
            FlowAction::Cancel { slot, new_total } => {
                let Some(at) = self.find(symbol, slot.0) else {
                    return;
                };
                let (reference, _, _, open) = self.books[symbol][at];
                // Any part will do: what the chain has executed is the flow's to know.
                let removes = if new_total == 0 {
                    open
                } else {
                    open.div_ceil(3)
                };
                if removes < open {
                    self.books[symbol][at].3 -= removes;
                    self.writer.cancel(locate, reference, removes);
                    self.count(Event::Cancel);
                } else {
                    self.books[symbol].remove(at);
                    self.writer.delete(locate, reference);
                    self.count(Event::Delete);
                }
            }
            FlowAction::Replace {
                slot, price, total, ..
            } => {
                let Some(at) = self.find(symbol, slot.0) else {
                    return;
                };
                let (original, side, ..) = self.books[symbol].remove(at);
                if self.would_trade(symbol, side, price) {
                    // A venue's file shows this as a delete, executions, and a new order.
                    self.writer.delete(locate, original);
                    self.count(Event::Delete);
                    return self.enter(symbol, slot.0, side, price, total);
                }
                self.next += 1;
                self.references.insert(slot.0, self.next);
                self.books[symbol].push((self.next, side, price, total));
                let reference = self.next;
                self.writer
                    .replace(locate, original, reference, total, price as u32);
                self.count(Event::Replace);
            }
        }
    }
}

fn recorded(seed: u64, events: usize) -> Recorder {
    let symbol = |letter: u8, price| SymbolOptions {
        live_orders: 60,
        ..SymbolOptions::new([letter; 8], price)
    };
    let mut options = FlowOptions::new(seed, vec![symbol(b'B', 900_000), symbol(b'C', 1_100_000)]);
    options.behaviour.partial_cancel_per_mille = 200;
    let mut flow = Flow::new(&options).expect("legal");
    let mut recorder = Recorder::default();
    for _ in 0..events {
        let event = flow.next_event();
        recorder.event(usize::from(event.symbol), event.action);
    }
    recorder
}

#[test]
fn a_venues_own_file_comes_back_whole_and_needs_no_lanes() {
    let folder = tempfile::tempdir().expect("temporary folder");
    for seed in 1..=4 {
        let recorder = recorded(seed, 8_000);
        let path = recorder.writer.save(&folder);
        let needs = needs(&path, u64::MAX).expect("sound");
        assert!(needs.survey.out_of_turn.is_empty());
        assert_eq!(needs.instruments.len(), 2);
        let mut venue = venue(&needs);
        let report = replay(&path, &needs, &mut venue);
        assert!(report.is_clean(), "{report}");
        assert_eq!(report.compared.reproduced, recorder.counts, "{report}");
        let open: usize = recorder.books.iter().map(Vec::len).sum();
        assert_eq!(report.compared.open_orders, open as u64);
        assert!(
            recorder.counts.values().all(|count| *count > 50),
            "{report}"
        );
        assert!(report.plan.skipped.is_empty());
        venue.machine().check_invariants().expect("sound books");
        assert_eq!(venue.machine().open_order_count(), 0, "cleaned up");
    }
}

#[test]
fn the_sample_file_comes_back_whole() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data");
    let path = Path::new(folder).join("ritch_example_framed.itch.gz");
    if !path.exists() {
        println!("SKIP: {} is absent", path.display());
        return;
    }
    let needs = needs(&path, u64::MAX).expect("sound");
    let mut venue = venue(&needs);
    let report = replay(&path, &needs, &mut venue);
    println!("{report}");
    assert!(report.is_clean(), "{report}");
    assert_eq!((report.plan.messages, report.stocks), (12_012, 3));
    let reproduced = |event| report.compared.reproduced.get(&event).copied();
    assert_eq!(reproduced(Event::Add), Some(5_000));
    assert_eq!(reproduced(Event::Execute), Some(180));
    assert_eq!(reproduced(Event::Cancel), Some(42));
    assert_eq!(reproduced(Event::Delete), Some(1_651));
    assert_eq!(reproduced(Event::Replace), Some(10));
    // Every other message: trades with hidden orders, orders that the file never added, the day's frame.
    assert_eq!(report.plan.skipped[&Skip::HiddenTrade], 5_000);
    assert_eq!(report.plan.skipped[&Skip::BornBeforeFile], 117);
    let others: u64 = report.plan.skipped.values().sum();
    assert_eq!(others + report.compared.events(), 12_012);
    assert!(report.compared.open_orders > 3_000, "{report}");
    let again = replay(&path, &needs, &mut self::venue(&needs));
    assert_eq!(again.compared.hash, report.compared.hash);
}

/// A file that no matching engine wrote: crossing orders, executions out of turn, unknown orders.
#[test]
fn what_no_book_could_hold_is_reproduced_in_lanes_and_counted() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let mut writer = Writer::default();
    writer.add(1, 1, Side::Buy, 100, 10_000);
    writer.add(1, 2, Side::Buy, 100, 10_000);
    writer.add(1, 3, Side::Sell, 100, 9_000); // crosses
    writer.add(1, 4, Side::Sell, 100, 9_500); // crosses, behind 3
    writer.execute(1, 2, 40); // behind 1
    writer.execute(1, 3, 10);
    writer.execute(1, 4, 10); // away from the best
    writer.replace(1, 1, 5, 200, 8_000); // stays, and 3 would not cross any more
    writer.replace(1, 4, 6, 70, 9_900); // keeps its own lane
    writer.add(1, 7, Side::Sell, 5, 10_100);
    writer.replace(1, 7, 8, 5, 7_000); // would trade with 5: another lane
    writer.execute(1, 99, 1); // never added
    writer.cancel(1, 5, 1_000); // more than open
    writer.add(1, 5, Side::Buy, 1, 1); // lives
    writer.add(1, 9, Side::Buy, 2_000_000, 8_000); // beyond OUCH
    writer.delete(1, 9);
    writer.cancel(1, 2, 60); // all that is left
    writer.message(b'?', 1, &[b"unknown"]);
    let path = writer.save(&folder);
    let needs = needs(&path, u64::MAX).expect("sound");
    let mut venue = venue(&needs);
    let report = replay(&path, &needs, &mut venue);
    assert!(report.is_clean(), "{report}");
    let reproduced: Vec<u64> = report.compared.reproduced.values().copied().collect();
    assert_eq!(
        reproduced,
        [5, 3, 1, 3],
        "adds, executions, cancels, replaces"
    );
    let plan = &report.plan;
    let lanes = (
        plan.orders_in_stock,
        plan.orders_crossing,
        plan.orders_out_of_turn,
    );
    assert_eq!(lanes, (2, 2, 2), "{report}");
    assert_eq!(plan.replaces_in_two, 1);
    let skipped: Vec<_> = plan.skipped.iter().map(|(why, n)| (*why, *n)).collect();
    assert_eq!(
        skipped,
        [
            (Skip::Other('?'), 1),
            (Skip::BornBeforeFile, 1),
            (Skip::LeftOut, 1),
            (Skip::NotEnterable, 1),
            (Skip::MoreThanOpen, 1),
            (Skip::Duplicate, 1),
        ]
    );
    assert_eq!(report.compared.open_orders, 4);
}

/// What a faulty venue does to one of its answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fault {
    /// A byte of the answer's shares or price differs.
    OtherByte(usize),
    Drops,
    Repeats,
    Garbage,
}

/// A venue of which every answer of one type from the hundredth on is spoilt once.
struct Faulty {
    venue: LocalVenue,
    letter: u8,
    fault: Fault,
    left: u32,
    queue: VecDeque<(usize, Vec<u8>)>,
}

impl VenueLink for Faulty {
    fn send(&mut self, session: usize, message: &[u8]) -> Result<(), LinkError> {
        self.venue.submit(session, message)
    }

    fn poll(&mut self, answer: &mut dyn FnMut(usize, &[u8])) -> Result<usize, LinkError> {
        while let Some((session, mut bytes)) = self.venue.take_answer() {
            let is_chosen = bytes[0] == self.letter && self.left == 1;
            self.left -= u32::from(bytes[0] == self.letter && self.left > 0);
            match self.fault {
                _ if !is_chosen => self.queue.push_back((session, bytes)),
                Fault::OtherByte(at) => {
                    bytes[at] ^= 1;
                    self.queue.push_back((session, bytes));
                }
                Fault::Drops => {}
                Fault::Repeats => {
                    self.queue.push_back((session, bytes.clone()));
                    self.queue.push_back((session, bytes));
                }
                Fault::Garbage => self.queue.push_back((session, b"?".to_vec())),
            }
        }
        let count = self.queue.len();
        while let Some((session, bytes)) = self.queue.pop_front() {
            answer(session, &bytes);
        }
        Ok(count)
    }
}

#[test]
fn every_planted_fault_is_found() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = recorded(9, 4_000).writer.save(&folder);
    let needs = needs(&path, u64::MAX).expect("sound");
    let run_with = |letter, fault, left| {
        let mut faulty = Faulty {
            venue: venue(&needs),
            letter,
            fault,
            left,
            queue: VecDeque::new(),
        };
        let report = replay(&path, &needs, &mut faulty);
        (report, faulty.left)
    };
    // Last bytes of shares and price in each answer (sheet: type, timestamp 8, UserRefNum 4, …).
    let spots: [(u8, &[usize]); 4] = [
        (b'A', &[12, 13, 17, 33]),
        (b'E', &[12, 16, 24, 33]),
        (b'C', &[12, 16, 17]),
        (b'U', &[12, 16, 17, 21, 37]),
    ];
    let mut found = 0;
    for (letter, bytes) in spots {
        let faults = bytes.iter().map(|at| Fault::OtherByte(*at));
        for fault in faults.chain([Fault::Drops, Fault::Repeats, Fault::Garbage]) {
            let (report, left) = run_with(letter, fault, 100);
            assert_eq!(left, 0, "no hundredth answer of that type");
            let what = char::from(letter);
            assert!(!report.is_clean(), "{what} {fault:?} was not found");
            found += 1;
        }
    }
    assert_eq!(found, 28);
    assert!(
        run_with(b'A', Fault::Drops, 0).0.is_clean(),
        "no fault, no finding"
    );
}

#[test]
fn a_silent_venue_ends_the_replay() {
    struct Silent;
    impl VenueLink for Silent {
        fn send(&mut self, _: usize, _: &[u8]) -> Result<(), LinkError> {
            Ok(())
        }
        fn poll(&mut self, _: &mut dyn FnMut(usize, &[u8])) -> Result<usize, LinkError> {
            Ok(0)
        }
    }
    let folder = tempfile::tempdir().expect("temporary folder");
    let mut writer = Writer::default();
    writer.add(1, 1, Side::Buy, 1, 100);
    let path = writer.save(&folder);
    let needs = needs(&path, u64::MAX).expect("sound");
    let report = replay(&path, &needs, &mut Silent);
    assert_eq!(report.ended, Ended::Silent { row: 1 });
    assert!(!report.is_clean());
}

fn read_all(bytes: &[u8]) -> Result<Vec<ItchKind>, ItchError> {
    let input = Box::new(std::io::Cursor::new(bytes.to_vec()));
    let mut file = ItchFile::from_input(Path::new("bytes"), input);
    let mut kinds = Vec::new();
    while let Some(message) = file.next_message()? {
        kinds.push(message.kind);
    }
    Ok(kinds)
}

#[test]
fn damaged_files_are_errors_that_name_the_message() {
    let mut writer = Writer::default();
    writer.delete(1, 7);
    writer.delete(1, 8);
    let whole = writer.bytes;
    assert_eq!(read_all(&whole).expect("sound").len(), 2);
    for cut in 1..whole.len() {
        let read = read_all(&whole[..cut]);
        let is_boundary = cut == whole.len() / 2;
        assert_eq!(read.is_ok(), is_boundary, "cut at {cut}");
    }
    let ended = [&whole[..], &[0, 0], &whole[..3]].concat();
    assert_eq!(read_all(&ended).expect("a length of zero ends it").len(), 2);
    let mut short = whole.clone();
    short[1] -= 1;
    assert!(matches!(
        read_all(&short),
        Err(ItchError::Length { number: 1, .. })
    ));
    let mut writer = Writer::default();
    writer.add(1, 1, Side::Buy, 0, 5);
    assert!(matches!(
        read_all(&writer.bytes),
        Err(ItchError::Field { number: 1, .. })
    ));
    assert!(matches!(
        ItchFile::open(Path::new("/absent.itch")),
        Err(ItchError::Read { .. })
    ));
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_reader_or_plan_panic(bytes in proptest::collection::vec(0_u8..70, 0..400)) {
        let input = Box::new(std::io::Cursor::new(bytes));
        let mut file = ItchFile::from_input(Path::new("bytes"), input);
        let mut replay = ItchReplay::new(Default::default(), options());
        while let Ok(Some(message)) = file.next_message() {
            replay.handle_message(&message);
        }
        let mut out = [0; REQUEST_LENGTH_MAX];
        while replay.poll_request(&mut out).is_some() {
            replay.handle_answer(0, b"?");
        }
    }
}
