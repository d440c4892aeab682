//! What the tests of this folder share: commands as values, the machine driven by them, and everything it
//! says as values that can be compared and read.
#![allow(dead_code)] // each test binary uses its part

pub mod flow;
mod flow_protection;
pub mod options;
pub mod oracle;
pub mod pair;
pub mod scenario;
pub mod script;

use lockstep_core::image::{ImageSink, Section};
use lockstep_core::{ApplyError, Capacity, StateMachine};
use lockstep_record::batch::BatchKind;
use lockstep_record::command::*;
use lockstep_record::event::*;
use lockstep_record::*;
use std::fmt;

/// One record as a value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Command {
    pub session: u32,
    pub epoch: u32,
    pub request: Request,
    /// Tag, policy, value.
    pub parts: Vec<(u16, Policy, Vec<u8>)>,
}

macro_rules! requests {
    ($($kind:ident)*) => {
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Request {
            $( $kind($kind), )*
        }
        $( impl From<$kind> for Request {
            fn from(body: $kind) -> Self {
                Self::$kind(body)
            }
        } )*
        impl Command {
            /// Appends the record's bytes.
            pub fn write(&self, out: &mut Records) {
                let source = Source {
                    session: SessionId(self.session),
                    epoch: ConnectionEpoch(self.epoch),
                    gateway: Gateway(GATEWAY),
                };
                let mut bytes = [0; RECORD_LENGTH_MAX];
                let mut writer = match &self.request {
                    $( Request::$kind(body) => RecordWriter::new(&mut bytes, source, body), )*
                };
                for (tag, policy, value) in &self.parts {
                    writer.part(PartTag(*tag), *policy, value);
                }
                let length = writer.finish();
                out.push(&bytes[..length]);
            }
        }
    };
}

requests! {
    Login Logout Disconnect EnterOrder ReplaceOrder CancelOrder ModifyOrder MassCancel DisableEntry
    EnableEntry AccountQuery SetBounds DefineFirm DefineSession DefineInstrument DayOpen DayClose
    SetInstrumentState
    SetEntryState OperatorMassCancel OperatorCancel BreakTrade SetLimits SetThrottle SetProtection
    ResetProtection SetPosition RetireInstrument SetRiskBounds SetGrace
    StartAuction SetSchedule SetReferencePrice
}

pub const GATEWAY: u16 = 3;

/// Record bytes, 8-aligned as in a log buffer.
#[derive(Clone, Default)]
pub struct Records {
    words: Vec<u64>,
    pub count: u32,
}

impl Records {
    pub fn push(&mut self, record: &[u8]) {
        let words = record
            .chunks_exact(8)
            .map(|word| u64::from_ne_bytes(word.try_into().unwrap()));
        self.words.extend(words);
        self.count += 1;
    }

    /// The bytes, copied to an 8-aligned place.
    pub fn with<T>(&self, look: impl FnOnce(&[u8]) -> T) -> T {
        let length = self.words.len() * 8;
        let mut buffer = vec![0u8; length + 8];
        let at = buffer.as_ptr().align_offset(8);
        for (word, bytes) in self.words.iter().zip(buffer[at..].chunks_exact_mut(8)) {
            bytes.copy_from_slice(&word.to_ne_bytes());
        }
        look(&buffer[at..at + length])
    }
}

/// A client's or operator's command without options.
pub fn command(session: u32, epoch: u32, request: impl Into<Request>) -> Command {
    Command {
        session,
        epoch,
        request: request.into(),
        parts: Vec::new(),
    }
}

pub fn operator(request: impl Into<Request>) -> Command {
    command(0, 0, request)
}

impl Command {
    /// Adds an option as the gateway would.
    pub fn option(mut self, tag: PartTag, value: impl AsRef<[u8]>) -> Self {
        let assigned = matches!(tag.0, 1..=7 | 9..=18 | 22..=28);
        let policy = if tag.0 < 200 && !assigned {
            Policy::Ignore
        } else {
            Policy::Reject
        };
        self.parts.push((tag.0, policy, value.as_ref().to_vec()));
        self
    }
}

/// Something the state machine said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Said {
    Event {
        session: u32,
        number: u64,
        time_ns: u64,
        what: What,
    },
    Control(Control),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Terms {
    pub instrument: u32,
    pub user_ref: UserRef,
    pub side: u8,
    pub quantity: u32,
    pub symbol: [u8; 8],
    pub price: u64,
    pub time_in_force: u8,
    pub display: u8,
    pub order_reference: u64,
    pub capacity: u8,
    pub intermarket_sweep: u8,
    pub cross_type: u8,
    pub state: OrderState,
    pub client_order_id: [u8; 14],
    pub options: Vec<(u16, Vec<u8>)>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum What {
    System(SystemEventCode),
    Accepted(Terms),
    Replaced(u32, Terms),
    Canceled(Canceled),
    SelfMatchCanceled(SelfMatchCanceled),
    Executed(Executed),
    Broken(Broken),
    Rejected(Rejected),
    CancelPending(UserRef),
    CancelReject(UserRef),
    PriorityUpdate(PriorityUpdate),
    Modified(Modified),
    Restated(Restated),
    MassCancelResponse(MassCancelResponse),
    DisableResponse(EntryResponse),
    EnableResponse(EntryResponse),
    AccountQueryResponse(AccountQueryResponse),
}

fn terms(instrument: InstrumentId, terms: &OrderTerms<'_>) -> Terms {
    Terms {
        instrument: instrument.0,
        user_ref: terms.user_ref,
        side: terms.side,
        quantity: terms.quantity,
        symbol: terms.symbol,
        price: terms.price.0,
        time_in_force: terms.time_in_force,
        display: terms.display,
        order_reference: terms.order_reference.0,
        capacity: terms.capacity,
        intermarket_sweep: terms.intermarket_sweep,
        cross_type: terms.cross_type,
        state: terms.state,
        client_order_id: terms.client_order_id,
        options: terms
            .options
            .map(|part| (part.tag.0, part.value.to_vec()))
            .collect(),
    }
}

/// Keeps all that is said.
#[derive(Default)]
pub struct Recorder(pub Vec<Said>);

impl EventSink for Recorder {
    fn deliver(&mut self, to: &Delivery, event: Event<'_>) {
        let what = match event {
            Event::System(code) => What::System(code),
            Event::Accepted(e) => What::Accepted(terms(e.instrument, &e.terms)),
            Event::Replaced(e) => What::Replaced(e.original, terms(e.instrument, &e.terms)),
            Event::Canceled(e) => What::Canceled(*e),
            Event::SelfMatchCanceled(e) => What::SelfMatchCanceled(*e),
            Event::Executed(e) => What::Executed(*e),
            Event::Broken(e) => What::Broken(*e),
            Event::Rejected(e) => What::Rejected(*e),
            Event::CancelPending(e) => What::CancelPending(e),
            Event::CancelReject(e) => What::CancelReject(e),
            Event::PriorityUpdate(e) => What::PriorityUpdate(*e),
            Event::Modified(e) => What::Modified(*e),
            Event::Restated(e) => What::Restated(*e),
            Event::MassCancelResponse(e) => What::MassCancelResponse(*e),
            Event::DisableResponse(e) => What::DisableResponse(*e),
            Event::EnableResponse(e) => What::EnableResponse(*e),
            Event::AccountQueryResponse(e) => What::AccountQueryResponse(*e),
        };
        let (session, number, time_ns) = (to.session.0, to.number.0, to.time_ns);
        self.0.push(Said::Event {
            session,
            number,
            time_ns,
            what,
        });
    }

    fn control(&mut self, control: &Control) {
        self.0.push(Said::Control(*control));
    }
}

/// Keeps what is said at a batch's begin and, apart, because of each of its records.
struct ByRecord(Vec<Recorder>);

impl ByRecord {
    fn now(&mut self) -> &mut Recorder {
        self.0.last_mut().unwrap()
    }
}

impl EventSink for ByRecord {
    fn record(&mut self, _sequence: Sequence, _record: &Record<'_>) {
        self.0.push(Recorder::default());
    }

    fn deliver(&mut self, to: &Delivery, event: Event<'_>) {
        self.now().deliver(to, event);
    }

    fn control(&mut self, control: &Control) {
        self.now().control(control);
    }
}

/// An image in memory, by section.
#[derive(Default, PartialEq, Eq)]
pub struct SavedImage(pub Vec<(Section, Vec<u8>)>);

impl ImageSink for SavedImage {
    fn section(&mut self, section: Section) {
        self.0.push((section, Vec::new()));
    }
    fn bytes(&mut self, bytes: &[u8]) {
        self.0.last_mut().unwrap().1.extend_from_slice(bytes);
    }
}

impl SavedImage {
    pub fn of(machine: &StateMachine) -> Self {
        let mut image = Self::default();
        machine.write_image(&mut image);
        image
    }
}

/// The machine with its place in a log, one batch per `tell`.
pub struct Driver {
    pub machine: StateMachine,
    pub timestamp: u64,
    pub index: u64,
    /// What is said to lie behind each batch: anything at all.
    pub coming: Vec<u8>,
}

impl Default for Driver {
    fn default() -> Self {
        Self {
            machine: StateMachine::new(Capacity::default()),
            timestamp: 0,
            index: 0,
            coming: Vec::new(),
        }
    }
}

impl Driver {
    pub fn batch(&mut self, kind: BatchKind, record_count: u32) -> BatchInfo {
        self.index += 1;
        self.timestamp += 1;
        BatchInfo {
            kind,
            term: Term(1),
            index: LogIndex(self.index),
            first_sequence: Sequence(self.machine.last_sequence().0 + 1),
            record_count,
            timestamp: Timestamp(self.timestamp),
            feature_set_version: 0,
        }
    }

    pub fn try_apply(
        &mut self,
        kind: BatchKind,
        records: &Records,
    ) -> Result<Vec<Said>, ApplyError> {
        let batch = self.batch(kind, records.count);
        let mut said = Recorder::default();
        records.with(|bytes| {
            self.machine
                .apply_before(&batch, bytes, &self.coming, &mut said)
        })?;
        Ok(said.0)
    }

    /// Applies the commands as one batch, one ns after the last.
    pub fn tell(&mut self, commands: &[Command]) -> Vec<Said> {
        let mut records = Records::default();
        for command in commands {
            command.write(&mut records);
        }
        let said = self.try_apply(BatchKind::Commands, &records).unwrap();
        self.machine.check_invariants().unwrap();
        said
    }

    /// The same; returns what is said at the batch's begin and then because of each command.
    pub fn tell_each(&mut self, commands: &[Command]) -> Result<Vec<Vec<Said>>, String> {
        let mut records = Records::default();
        for command in commands {
            command.write(&mut records);
        }
        let batch = self.batch(BatchKind::Commands, records.count);
        let mut said = ByRecord(vec![Recorder::default()]);
        let applied = records.with(|bytes| {
            self.machine
                .apply_before(&batch, bytes, &self.coming, &mut said)
        });
        applied.map_err(|error| error.to_string())?;
        let whole = self.machine.check_invariants();
        whole.map_err(|error| error.to_string())?;
        Ok(said.0.into_iter().map(|said| said.0).collect())
    }

    /// Goes on with a machine loaded from this one's image, which must be written again byte by byte.
    pub fn reload(&mut self) -> Result<(), String> {
        let image = SavedImage::of(&self.machine);
        let sections: Vec<_> = image
            .0
            .iter()
            .map(|(tag, bytes)| (*tag, &bytes[..]))
            .collect();
        let capacity = Capacity::default();
        let loaded = StateMachine::load_image(capacity, &sections).map_err(|e| e.to_string())?;
        let hashes = loaded.state_hash() == self.machine.state_hash();
        if !hashes || SavedImage::of(&loaded) != image {
            return Err(format!("batch {}: the loaded state is another", self.index));
        }
        self.machine = loaded;
        Ok(())
    }

    pub fn term_start(&mut self) -> Vec<Said> {
        self.try_apply(BatchKind::TermStart, &Records::default())
            .unwrap()
    }
}

pub fn bounds(open_orders_max: u32, price_levels_max: u32) -> Command {
    operator(SetBounds {
        open_orders_max,
        instruments_max: 8,
        sessions_max: 8,
        firms_max: 8,
        price_levels_max,
        _reserved: [0; 12],
    })
}

pub fn define_firm(firm: u32, code: &[u8; 4]) -> Command {
    operator(DefineFirm { firm, code: *code })
}

pub fn define_session(session: u32, firm: u32, user: &[u8; 6]) -> Command {
    operator(DefineSession {
        session,
        firm,
        user: *user,
        cancel_on_disconnect: 0,
        order_entry: 1,
        _reserved: [0; 8],
    })
}

pub fn define_instrument(
    instrument: u32,
    symbol: &[u8; 8],
    tick_size: u32,
    lot_size: u32,
) -> Command {
    operator(DefineInstrument {
        symbol: *symbol,
        instrument,
        tick_size,
        lot_size,
        _reserved: [0; 12],
    })
}

pub fn set_state(instrument: u32, state: u8) -> Command {
    operator(SetInstrumentState {
        instrument,
        state,
        _reserved: [0; 3],
    })
}

pub fn set_entry_state(scope: u8, id: u32, state: u8) -> Command {
    operator(SetEntryState {
        id,
        scope,
        state,
        _reserved: [0; 2],
    })
}

pub fn start_auction(instrument: u32, state: u8, duration_ms: u32, random_end_ms: u32) -> Command {
    operator(StartAuction {
        instrument,
        duration_ms,
        random_end_ms,
        state,
        next_state: b'T',
        _reserved: [0; 2],
    })
}

/// Times in ms for pre-open, opening auction, trading, closing auction and closed; 0 = never.
pub fn set_schedule(instrument: u32, times_ms: [u32; 5], random_end_ms: u32) -> Command {
    let time = |at: usize| match times_ms[at] {
        0 => u32::MAX,
        time => time,
    };
    operator(SetSchedule {
        instrument,
        pre_open_ms: time(0),
        opening_auction_ms: time(1),
        trading_ms: time(2),
        closing_auction_ms: time(3),
        closed_ms: time(4),
        random_end_ms,
        _reserved: 0,
    })
}

pub fn set_reference(instrument: u32, price: u64) -> Command {
    operator(SetReferencePrice {
        price,
        instrument,
        _reserved: 0,
    })
}

pub fn risk_bounds(positions_max: u32, trades_max: u32, protections_max: u32) -> Command {
    operator(SetRiskBounds {
        positions_max,
        trades_max,
        protections_max,
        _reserved: [0; 4],
    })
}

pub fn open_day(date: u32) -> Command {
    operator(DayOpen {
        midnight: 0,
        date,
        session_name: *b"     DAY01",
        _reserved: [0; 10],
    })
}

pub fn close_day() -> Command {
    operator(DayClose { _reserved: 0 })
}

pub fn login(session: u32, user: &[u8; 6], requested_number: u64) -> Command {
    login_from(session, user, requested_number, u64::from(session))
}

pub fn login_from(session: u32, user: &[u8; 6], requested_number: u64, connection: u64) -> Command {
    command(
        session,
        0,
        Login {
            connection,
            requested_number,
            peer_address: [0; 16],
            peer_port: 0,
            user: *user,
            requested_session: [b' '; 10],
            _reserved: [0; 14],
        },
    )
}

pub const USERS: [[u8; 6]; 3] = [*b"ALICE ", *b"BOB   ", *b"CAROL "];

/// Three sessions of two firms, logged in; AAAA in ticks of 100 and single shares, BBBB in ticks of 5 and
/// lots of 10. Session 1 may also enter for firm 2.
pub fn small_venue() -> Vec<Command> {
    let mut commands = vec![
        bounds(64, 32),
        define_firm(1, b"ACME"),
        define_firm(2, b"BEST"),
        define_session(1, 1, &USERS[0]).option(PartTag::PERMITTED_FIRM, 2u32.to_le_bytes()),
        define_session(2, 2, &USERS[1]),
        define_session(3, 2, &USERS[2]),
        define_instrument(1, b"AAAA    ", 100, 1),
        define_instrument(2, b"BBBB    ", 5, 10),
        open_day(20_250_101),
    ];
    commands.extend(
        (1..)
            .zip(&USERS)
            .map(|(session, user)| login(session, user, 1)),
    );
    commands
}

/// A limit order for the day on AAAA.
pub fn enter(user_ref_num: u32, side: u8, quantity: u32, price: u64) -> EnterOrder {
    EnterOrder {
        price,
        symbol: *b"AAAA    ",
        user_ref_num,
        quantity,
        side,
        time_in_force: b'0',
        display: b'Y',
        capacity: b'A',
        intermarket_sweep: b'N',
        cross_type: b'N',
        client_order_id: *b"CLIENT ORDER  ",
        _reserved: [0; 4],
    }
}

pub fn replace(original: u32, user_ref_num: u32, quantity: u32, price: u64) -> ReplaceOrder {
    ReplaceOrder {
        price,
        original_user_ref_num: original,
        user_ref_num,
        quantity,
        time_in_force: b'0',
        display: b'Y',
        intermarket_sweep: b'N',
        client_order_id: *b"REPLACED ORDER",
        _reserved: [0; 3],
    }
}

pub fn cancel(user_ref_num: u32, quantity: u32) -> CancelOrder {
    CancelOrder {
        user_ref_num,
        quantity,
    }
}

pub fn modify(user_ref_num: u32, side: u8, quantity: u32) -> ModifyOrder {
    ModifyOrder {
        user_ref_num,
        quantity,
        side,
        _reserved: [0; 7],
    }
}

/// A ready small venue.
pub fn venue() -> Driver {
    let mut driver = Driver::default();
    driver.tell(&small_venue());
    driver
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_string()
}

impl fmt::Display for Said {
    /// One line that a person can read; times and stream numbers left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Said::Event { session, what, .. } => write!(f, "{session}: {what}"),
            Said::Control(control) => write!(f, "-: {}", control_line(control)),
        }
    }
}

fn control_line(control: &Control) -> String {
    match control {
        Control::LoginAccepted {
            session,
            epoch,
            first_number,
            next_number,
            ..
        } => format!(
            "login of {session} accepted, connection {epoch}, from {first_number}, next {next_number}"
        ),
        Control::LoginRejected {
            connection, reason, ..
        } => format!(
            "login on connection {connection} rejected {}",
            *reason as u8 as char
        ),
        Control::ConnectionEnded { session, why, .. } => match why {
            ConnectionEnd::Superseded => format!("connection of {session} ended by a newer login"),
            ConnectionEnd::Logout => format!("connection of {session} ended by its logout"),
        },
        Control::DayOpened { date, .. } => format!("day {date} opened"),
        Control::DayClosed { .. } => "day closed".into(),
        Control::OperatorAnswered {
            request, refusal, ..
        } => format!("operator's request {request}: {refusal:?}"),
        Control::InstrumentState { instrument, state } => {
            format!("{instrument} is {}", *state as char)
        }
        Control::Indication {
            instrument,
            price,
            quantity,
            imbalance,
            imbalance_side,
        } => format!(
            "{instrument} would trade {quantity} @{price}, {imbalance} {} over",
            *imbalance_side as char
        ),
        Control::Uncrossed {
            instrument,
            price,
            quantity,
            cross_type,
        } => format!(
            "{instrument} uncrossed {quantity} @{price} {}",
            *cross_type as char
        ),
    }
}

fn user_ref(u: UserRef) -> String {
    if u.index == 0 {
        format!("#{}", u.number)
    } else {
        format!("#{}/{}", u.number, u.index)
    }
}

fn answer(response: &EntryResponse) -> String {
    let line = format!("{} {}", user_ref(response.user_ref), text(&response.firm));
    line.trim_end().to_string()
}

impl fmt::Display for Terms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (side, tif) = (self.side as char, self.time_in_force as char);
        let who = user_ref(self.user_ref);
        write!(
            f,
            "{who} {side} {} {} @{} tif {tif}",
            self.quantity,
            text(&self.symbol),
            self.price
        )?;
        write!(f, " ref {}", self.order_reference)?;
        if self.state == OrderState::Dead {
            write!(f, " dead")?;
        }
        for (tag, value) in &self.options {
            write!(f, " {}", options::write(*tag, value))?;
        }
        Ok(())
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            What::System(code) => write!(f, "system {}", *code as u8 as char),
            What::Accepted(terms) => write!(f, "accepted {terms}"),
            What::Replaced(original, terms) => write!(f, "replaced #{original} by {terms}"),
            What::Canceled(c) => {
                write!(
                    f,
                    "canceled {} {} {}",
                    user_ref(c.user_ref),
                    c.quantity,
                    c.reason as u8 as char
                )
            }
            What::Executed(e) => write!(
                f,
                "executed {} {} @{} {} match {}",
                user_ref(e.user_ref),
                e.quantity,
                e.price,
                e.liquidity as char,
                e.match_number
            ),
            What::Rejected(r) => {
                write!(
                    f,
                    "rejected {} 0x{:02X}",
                    user_ref(r.user_ref),
                    r.reason as u16
                )
            }
            What::Modified(m) => {
                write!(
                    f,
                    "modified {} {} {}",
                    user_ref(m.user_ref),
                    m.side as char,
                    m.quantity
                )
            }
            What::Broken(b) => {
                let (who, reason) = (user_ref(b.user_ref), b.reason as char);
                write!(f, "broken {who} match {} {reason}", b.match_number)
            }
            What::AccountQueryResponse(r) => write!(f, "next {}", user_ref(r.next)),
            What::SelfMatchCanceled(c) => write!(
                f,
                "self-match {} loses {} of {} @{} {} {}",
                user_ref(c.user_ref),
                c.decrement,
                c.quantity_prevented,
                c.price,
                c.liquidity as char,
                c.strategy as char
            ),
            What::Restated(r) => {
                write!(f, "restated {} {}", user_ref(r.user_ref), r.reason as char)?;
                write!(f, " shows {}", r.display_quantity.unwrap_or(0))?;
                r.display_price
                    .map_or(Ok(()), |price| write!(f, " @{price}"))?;
                r.secondary_reference
                    .map_or(Ok(()), |reference| write!(f, " ref {reference}"))
            }
            What::PriorityUpdate(p) => {
                let who = user_ref(p.user_ref);
                let shown = p.display as char;
                write!(
                    f,
                    "active {who} @{} {shown} ref {}",
                    p.price, p.order_reference
                )
            }
            What::MassCancelResponse(r) => {
                let (firm, symbol) = (text(&r.firm), text(&r.symbol));
                let line = format!("mass cancel {} {firm} {symbol}", user_ref(r.user_ref));
                write!(f, "{}", line.trim_end())
            }
            What::DisableResponse(r) => write!(f, "entry disabled {}", answer(r)),
            What::EnableResponse(r) => write!(f, "entry enabled {}", answer(r)),
            other => write!(f, "{other:?}"),
        }
    }
}

/// What is said, as lines that a person can read.
pub fn lines(said: &[Said]) -> Vec<String> {
    said.iter().map(ToString::to_string).collect()
}

/// Stream numbers of what is said to one session.
pub fn numbers(said: &[Said], of: u32) -> Vec<u64> {
    let number = |said: &Said| match said {
        Said::Event {
            session, number, ..
        } if *session == of => Some(*number),
        _ => None,
    };
    said.iter().filter_map(number).collect()
}
