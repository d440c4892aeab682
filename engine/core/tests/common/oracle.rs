//! A deliberately naive venue, written from the rules (`docs/matching.md`) and not from the code: ordered
//! maps and one list of live orders in order of time, searched from the front each time.
//!
//! A [`Fault`] plants one wrong line in it; the differential test must see each of them.

use super::*;
use std::collections::BTreeMap;

/// One-line mistakes, each of which the comparison must notice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    None,
    /// A trade prints the aggressor's price.
    AggressorPrice,
    /// A partial fill puts the resting order behind its level.
    PartialFillLosesPriority,
    /// A replacement keeps its priority.
    ReplaceKeepsPriority,
    /// A replacement forgets what its chain has executed.
    ReplaceForgetsExecuted,
    /// What an IOC order leaves rests.
    IocResidualRests,
    /// A limit order trades a tick beyond its limit.
    ThroughOwnLimit,
    /// Latest first at a price.
    LastComeFirst,
    /// The minimum quantity is ignored.
    MinimumIgnored,
    /// A partial cancel may increase.
    CancelIncreases,
    /// Numbers are one sequence for all channels of a session.
    ChannelsShareNumbers,
    /// A rejected order does not consume its number.
    RejectConsumesNothing,
    /// Records of an old connection are taken.
    StaleTaken,
    /// The open-order bound is one too high.
    BoundOffByOne,
    /// The price-level bound is one too high.
    LevelBoundOffByOne,
    /// Day orders live on after the day.
    DayOrdersSurvive,
    /// A hidden order trades in its turn with the displayed ones of its price.
    HiddenWithDisplayed,
    /// One party's orders trade with each other whatever they ask for.
    SelfTradeIgnored,
    /// Decrement cancels the resting order whole.
    DecrementCancels,
    /// A post-only order takes from the book.
    PostOnlyTakes,
    /// What a reserve order displays anew keeps its priority.
    RefreshKeepsPriority,
    /// Orders due at once expire by reference, not by deadline.
    ExpiredByReference,
    /// A mass cancel begins with the newest order.
    MassCancelNewestFirst,
    /// Disabled entry still enters.
    DisableIgnored,
    /// Outbound numbers go on over days.
    StreamGoesOn,
}

pub const FAULTS: [Fault; 24] = [
    Fault::AggressorPrice,
    Fault::PartialFillLosesPriority,
    Fault::ReplaceKeepsPriority,
    Fault::ReplaceForgetsExecuted,
    Fault::IocResidualRests,
    Fault::ThroughOwnLimit,
    Fault::LastComeFirst,
    Fault::MinimumIgnored,
    Fault::CancelIncreases,
    Fault::ChannelsShareNumbers,
    Fault::RejectConsumesNothing,
    Fault::StaleTaken,
    Fault::BoundOffByOne,
    Fault::LevelBoundOffByOne,
    Fault::DayOrdersSurvive,
    Fault::HiddenWithDisplayed,
    Fault::SelfTradeIgnored,
    Fault::DecrementCancels,
    Fault::PostOnlyTakes,
    Fault::RefreshKeepsPriority,
    Fault::ExpiredByReference,
    Fault::MassCancelNewestFirst,
    Fault::DisableIgnored,
    Fault::StreamGoesOn,
];

#[derive(Clone, Debug)]
struct Session {
    firm: u32,
    user: [u8; 6],
    permitted: Vec<u32>,
    order_entry: bool,
    cancel_on_disconnect: bool,
    connected: bool,
    epoch: u32,
    connection: u64,
    next_outbound: u64,
    /// Firms whose entry the client has disabled.
    disabled: Vec<u32>,
    self_trade_group: u32,
    self_trade_mode: u8,
}

#[derive(Clone, Debug)]
struct Instrument {
    symbol: [u8; 8],
    tick_size: u64,
    lot_size: u32,
    state: u8,
}

#[derive(Clone, Debug)]
struct Order {
    terms: Terms,
    session: u32,
    firm: u32,
    /// Open shares, those not displayed included.
    open: u32,
    executed: u32,
    /// Most shares displayed at a time; 0 = all.
    floor: u32,
    /// Of a reserve order: shares displayed now.
    shown: u32,
    /// 0 = none.
    deadline: u64,
    by_date: bool,
}

impl Order {
    fn shown(&self) -> u32 {
        if self.floor == 0 {
            self.open
        } else {
            self.shown
        }
    }
}

/// Live-order view for comparison: session, number, channel, price, (open, shown), executed, reference.
pub type Resting = (u32, u32, u8, u64, (u32, u32), u32, u64);

pub struct Oracle {
    pub fault: Fault,
    bounds: [u32; 5],
    day_open: bool,
    date: u32,
    session_name: [u8; 10],
    midnight: u64,
    now: u64,
    firms: BTreeMap<u32, [u8; 4]>,
    sessions: BTreeMap<u32, Session>,
    instruments: BTreeMap<u32, Instrument>,
    /// Live orders, first come first.
    orders: Vec<Order>,
    numbers: BTreeMap<(u32, u8), u32>,
    references: u64,
    matches: u64,
    said: Vec<Said>,
}

const MARKET: u64 = 2_000_000_000;

/// Options by tag, or that they cannot be taken.
struct Read {
    values: BTreeMap<u16, Vec<u8>>,
    faulty: bool,
}

fn width(tag: u16) -> Option<usize> {
    Some(match tag {
        2 | 3 | 5 | 7 | 11 | 13 | 14 | 15 | 26 | 202 => 4,
        4 | 6 | 10 | 12 | 16 | 17 | 25 | 27 | 28 | 201 | 203 => 1,
        9 | 200 | 204 => 8,
        24 => 2,
        _ => return None,
    })
}

fn read(parts: &[(u16, Policy, Vec<u8>)]) -> Read {
    let mut options = Read {
        values: BTreeMap::new(),
        faulty: false,
    };
    for (tag, policy, value) in parts {
        match width(*tag) {
            Some(width) if width == value.len() && !options.values.contains_key(tag) => {
                options.values.insert(*tag, value.clone());
            }
            Some(_) => options.faulty = true,
            None => options.faulty |= *policy == Policy::Reject,
        }
    }
    options
}

impl Read {
    fn integer(&self, tag: u16) -> u64 {
        let mut value = self.values.get(&tag).cloned().unwrap_or_default();
        value.resize(8, 0);
        u64::from_le_bytes(value.try_into().unwrap())
    }

    fn letter(&self, tag: u16, default: u8) -> u8 {
        self.values.get(&tag).map_or(default, |value| value[0])
    }

    fn channel(&self) -> u8 {
        self.letter(28, 0)
    }

    fn echo(&self) -> Vec<(u16, Vec<u8>)> {
        let kept = self.values.iter().filter(|(tag, _)| **tag != 28);
        kept.map(|(tag, value)| (*tag, value.clone())).collect()
    }

    fn not_built(&self) -> bool {
        self.integer(9) != 0
            || self.letter(10, b'L') != b'L'
            || self.integer(11) != 0
            || ![b'P', b'N'].contains(&self.letter(12, b'N'))
            || self
                .values
                .get(&203)
                .is_some_and(|mode| !b"NOBD".contains(&mode[0]))
            || self.integer(13) != 0
            || self.letter(17, b' ') != b' '
            || ![b'R', b'N', b' '].contains(&self.letter(4, b' '))
            || ![b'Y', b'N', b' '].contains(&self.letter(16, b' '))
            || ![b'Y', b'N'].contains(&self.letter(25, b'N'))
            || self
                .values
                .keys()
                .any(|tag| *tag >= 200 && *tag != 203 && *tag != 204)
    }
}

fn is_buy(side: u8) -> bool {
    side == b'B'
}

impl Oracle {
    pub fn new(fault: Fault) -> Self {
        Self {
            fault,
            bounds: [0; 5],
            day_open: false,
            date: 0,
            session_name: [b' '; 10],
            midnight: 0,
            now: 0,
            firms: BTreeMap::new(),
            sessions: BTreeMap::new(),
            instruments: BTreeMap::new(),
            orders: Vec::new(),
            numbers: BTreeMap::new(),
            references: 0,
            matches: 0,
            said: Vec::new(),
        }
    }

    /// Applies one command at a time of the log; returns what it says.
    pub fn tell(&mut self, now: u64, command: &Command) -> Vec<Said> {
        self.now = now;
        self.expire();
        let options = read(&command.parts);
        if command.session == 0 {
            self.operate(command);
        } else if let Request::Login(body) = &command.request {
            self.login(command.session, body);
        } else if self.is_current(command) {
            self.request(command.session, &command.request, &options);
        }
        std::mem::take(&mut self.said)
    }

    /// A new leader begins.
    pub fn term_start(&mut self, now: u64) -> Vec<Said> {
        self.now = now;
        self.expire();
        self.disconnect_all();
        std::mem::take(&mut self.said)
    }

    /// What is due, earliest first; nothing between days.
    fn expire(&mut self) {
        let due = |order: &Order| order.deadline != 0 && order.deadline <= self.now;
        let mut expired: Vec<(u64, u64)> = self
            .orders
            .iter()
            .filter(|order| self.day_open && due(order))
            .map(|order| (order.deadline, order.terms.order_reference))
            .collect();
        expired.sort_unstable();
        if self.fault == Fault::ExpiredByReference {
            expired.sort_unstable_by_key(|(_, reference)| *reference);
        }
        for (_, reference) in expired {
            let at = self
                .orders
                .iter()
                .position(|o| o.terms.order_reference == reference);
            self.cancel_at(at.unwrap(), CancelReason::Timeout);
        }
    }

    /// All connections are gone.
    fn disconnect_all(&mut self) {
        for session in self.sessions.values_mut() {
            session.connected = false;
        }
    }

    fn is_current(&self, command: &Command) -> bool {
        self.sessions.get(&command.session).is_some_and(|session| {
            let epoch = session.epoch == command.epoch || self.fault == Fault::StaleTaken;
            session.connected && epoch
        })
    }

    fn say(&mut self, session: u32, what: What) {
        let stream = &mut self.sessions.get_mut(&session).unwrap().next_outbound;
        let number = *stream;
        *stream += 1;
        let time_ns = self.now - self.midnight;
        self.said.push(Said::Event {
            session,
            number,
            time_ns,
            what,
        });
    }

    fn say_all(&mut self, code: SystemEventCode) {
        for session in self.sessions.keys().copied().collect::<Vec<_>>() {
            self.say(session, What::System(code));
        }
    }

    // ---- operator

    fn operate(&mut self, command: &Command) {
        let known = |tag: u16| (256..=259).contains(&tag);
        let unknown = |part: &&(u16, Policy, Vec<u8>)| !known(part.0) && part.1 == Policy::Reject;
        if command.parts.iter().any(|part| unknown(&part)) {
            return;
        }
        match &command.request {
            Request::SetBounds(body) => self.set_bounds(body),
            Request::DefineFirm(body) => self.define_firm(body),
            Request::DefineSession(body) => self.define_session(body, &command.parts),
            Request::DefineInstrument(body) => self.define_instrument(body),
            Request::SetInstrumentState(body) => {
                if b"THC".contains(&body.state)
                    && let Some(instrument) = self.instruments.get_mut(&body.instrument)
                {
                    instrument.state = body.state;
                }
            }
            Request::DayOpen(body) => self.open_day(body),
            Request::DayClose(_) => self.close_day(),
            _ => {}
        }
    }

    fn set_bounds(&mut self, b: &SetBounds) {
        let new = [
            b.open_orders_max,
            b.instruments_max,
            b.sessions_max,
            b.firms_max,
            b.price_levels_max,
        ];
        if new
            .iter()
            .zip(&self.bounds)
            .all(|(new, old)| *new > 0 && new >= old)
        {
            self.bounds = new;
        }
    }

    fn define_firm(&mut self, body: &DefineFirm) {
        let taken = self
            .firms
            .iter()
            .any(|(id, code)| *id != body.firm && *code == body.code);
        if (1..=self.bounds[3]).contains(&body.firm) && body.code != *b"    " && !taken {
            self.firms.insert(body.firm, body.code);
        }
    }

    fn define_session(&mut self, body: &DefineSession, parts: &[(u16, Policy, Vec<u8>)]) {
        let user = body.user.map(|letter| letter.to_ascii_uppercase());
        let others = self.sessions.iter().filter(|(id, _)| **id != body.session);
        if !(1..=self.bounds[2]).contains(&body.session)
            || !self.firms.contains_key(&body.firm)
            || user == [b' '; 6]
            || body.cancel_on_disconnect > 1
            || body.order_entry > 1
            || others.into_iter().any(|(_, session)| session.user == user)
        {
            return;
        }
        let mut permitted = Vec::new();
        for (_, _, value) in parts.iter().filter(|part| part.0 == 257) {
            let Ok(firm) = <[u8; 4]>::try_from(value.as_slice()).map(u32::from_le_bytes) else {
                return;
            };
            if !self.firms.contains_key(&firm) || permitted.len() == 16 {
                return;
            }
            permitted.push(firm);
        }
        let part = |tag: u16| {
            parts
                .iter()
                .find(|part| part.0 == tag)
                .map(|part| &part.2[..])
        };
        let (group, mode) = (part(258), part(259));
        if group.is_some_and(|group| group.len() != 4)
            || mode.is_some_and(|mode| mode.len() != 1 || !b"NOBD".contains(&mode[0]))
        {
            return;
        }
        let group = group.map_or(0, |group| u32::from_le_bytes(group.try_into().unwrap()));
        let mode = mode.map_or(0, |mode| mode[0]);
        let fresh = Session {
            firm: 0,
            user,
            permitted: Vec::new(),
            order_entry: false,
            cancel_on_disconnect: false,
            connected: false,
            epoch: 0,
            connection: 0,
            next_outbound: 1,
            disabled: Vec::new(),
            self_trade_group: 0,
            self_trade_mode: 0,
        };
        let is_new = !self.sessions.contains_key(&body.session);
        let session = self.sessions.entry(body.session).or_insert(fresh);
        session.firm = body.firm;
        session.user = user;
        session
            .disabled
            .retain(|firm| *firm == body.firm || permitted.contains(firm));
        session.permitted = permitted;
        session.order_entry = body.order_entry == 1;
        session.self_trade_group = group;
        session.self_trade_mode = mode;
        session.cancel_on_disconnect = body.cancel_on_disconnect == 1;
        if is_new && self.day_open {
            self.say(body.session, What::System(SystemEventCode::StartOfDay));
        }
    }

    fn define_instrument(&mut self, body: &DefineInstrument) {
        let id = body.instrument;
        let mut others = self.instruments.iter().filter(|(other, _)| **other != id);
        if !(1..=self.bounds[1]).contains(&id)
            || body.symbol == [b' '; 8]
            || body.tick_size == 0
            || body.tick_size >= 1 << 31
            || body.lot_size == 0
            || body.lot_size > 999_999
            || others.any(|(_, instrument)| instrument.symbol == body.symbol)
        {
            return;
        }
        let tick_size = u64::from(body.tick_size);
        if let Some(now) = self.instruments.get(&id) {
            let live = self.orders.iter().any(|order| order.terms.instrument == id);
            if live && (now.tick_size != tick_size || now.symbol != body.symbol) {
                return;
            }
        }
        let state = self
            .instruments
            .get(&id)
            .map_or(b'T', |instrument| instrument.state);
        let (symbol, lot_size) = (body.symbol, body.lot_size);
        self.instruments.insert(
            id,
            Instrument {
                symbol,
                tick_size,
                lot_size,
                state,
            },
        );
    }

    fn open_day(&mut self, body: &DayOpen) {
        let blank = trimmed(&body.session_name).is_empty();
        if self.day_open || body.date <= self.date || body.midnight > self.now || blank {
            return;
        }
        self.day_open = true;
        self.date = body.date;
        self.midnight = body.midnight;
        self.session_name = body.session_name;
        self.numbers.clear();
        for session in self.sessions.values_mut() {
            session.disabled.clear();
        }
        if self.fault != Fault::StreamGoesOn {
            for session in self.sessions.values_mut() {
                session.next_outbound = 1;
            }
        }
        self.said.push(Said::Control(Control::DayOpened {
            date: body.date,
            midnight: body.midnight,
            session_name: body.session_name,
        }));
        self.say_all(SystemEventCode::StartOfDay);
        self.expire();
        self.carry();
    }

    /// Orders that outlived the last day, by session and order reference.
    fn carry(&mut self) {
        let mut carried = self.orders.clone();
        carried.sort_by_key(|order| (order.session, order.terms.order_reference));
        for order in carried {
            let UserRef { number, index } = order.terms.user_ref;
            self.take_number(order.session, index, number);
            let restated = Restated {
                user_ref: order.terms.user_ref,
                reason: b'R',
                display_quantity: Some(if hidden(&order.terms) {
                    0
                } else {
                    order.shown()
                }),
                display_price: Some(Price(order.terms.price)),
                secondary_reference: Some(OrderReference(order.terms.order_reference)),
            };
            self.say(order.session, What::Restated(restated));
        }
    }

    fn close_day(&mut self) {
        if !self.day_open {
            return;
        }
        if self.fault != Fault::DayOrdersSurvive {
            for instrument in self.instruments.keys().copied().collect::<Vec<_>>() {
                // Displayed before hidden orders; bids before asks; best price first; then time.
                for (hidden, buy) in [(false, true), (false, false), (true, true), (true, false)] {
                    while let Some(at) = self.first_of(instrument, buy, hidden) {
                        self.cancel_at(at, CancelReason::Closed);
                    }
                }
            }
        }
        self.say_all(SystemEventCode::EndOfDay);
        self.day_open = false;
        self.disconnect_all();
        let session_name = self.session_name;
        self.said
            .push(Said::Control(Control::DayClosed { session_name }));
    }

    // ---- connections

    fn login(&mut self, id: u32, body: &Login) {
        let gateway = Gateway(GATEWAY);
        let connection = body.connection;
        let user = body.user.map(|letter| letter.to_ascii_uppercase());
        let name = self.session_name;
        let wanted = trimmed(&body.requested_session);
        let name_fits = wanted.is_empty() || wanted == trimmed(&name);
        let reason = match self
            .sessions
            .get(&id)
            .filter(|session| session.user == user)
        {
            None => Some(LoginRejectReason::NotAuthorized),
            Some(session)
                if !self.day_open
                    || !name_fits
                    || body.requested_number > session.next_outbound =>
            {
                Some(LoginRejectReason::SessionNotAvailable)
            }
            Some(_) => None,
        };
        if let Some(reason) = reason {
            self.said.push(Said::Control(Control::LoginRejected {
                gateway,
                connection,
                reason,
            }));
            return;
        }
        if self.sessions[&id].connected {
            self.end(id, ConnectionEnd::Superseded);
        }
        let session = self.sessions.get_mut(&id).unwrap();
        session.epoch += 1;
        session.connected = true;
        session.connection = connection;
        let next = session.next_outbound;
        let first = if body.requested_number == 0 {
            next
        } else {
            body.requested_number
        };
        let control = Control::LoginAccepted {
            gateway,
            connection,
            session: SessionId(id),
            epoch: ConnectionEpoch(session.epoch),
            session_name: name,
            first_number: StreamNumber(first),
            next_number: StreamNumber(next),
        };
        self.said.push(Said::Control(control));
    }

    fn end(&mut self, id: u32, why: ConnectionEnd) {
        let session = self.sessions.get_mut(&id).unwrap();
        session.connected = false;
        let control = Control::ConnectionEnded {
            gateway: Gateway(GATEWAY),
            connection: session.connection,
            session: SessionId(id),
            epoch: ConnectionEpoch(session.epoch),
            why,
        };
        self.said.push(Said::Control(control));
    }

    fn connection_lost(&mut self, id: u32) {
        if self.sessions[&id].cancel_on_disconnect {
            // Oldest reference first.
            while let Some(at) = self.oldest_of(id) {
                self.cancel_at(at, CancelReason::System);
            }
        }
    }

    fn oldest_of(&self, session: u32) -> Option<usize> {
        let own = (0..self.orders.len()).filter(|at| self.orders[*at].session == session);
        own.min_by_key(|at| self.orders[*at].terms.order_reference)
    }

    // ---- requests

    fn request(&mut self, session: u32, request: &Request, options: &Read) {
        match request {
            Request::Logout(_) => {
                self.end(session, ConnectionEnd::Logout);
                self.connection_lost(session);
            }
            Request::Disconnect(body) => {
                self.sessions.get_mut(&session).unwrap().connected = false;
                if body.reason != 5 {
                    self.connection_lost(session);
                }
            }
            Request::EnterOrder(body) => self.enter(session, body, options),
            Request::ReplaceOrder(body) => self.replace(session, body, options),
            Request::CancelOrder(body) => self.cancel(session, body, options),
            Request::ModifyOrder(body) => self.modify(session, body, options),
            Request::AccountQuery(_) => {
                let index = options.channel();
                let number = self.last(session, index).wrapping_add(1);
                let response = AccountQueryResponse {
                    next: UserRef { number, index },
                };
                self.say(session, What::AccountQueryResponse(response));
            }
            Request::MassCancel(body) => self.mass_cancel(session, body, options),
            Request::DisableEntry(body) => {
                self.switch_entry(session, body.user_ref_num, body.firm, true, options);
            }
            Request::EnableEntry(body) => {
                self.switch_entry(session, body.user_ref_num, body.firm, false, options);
            }
            _ => {}
        }
    }

    fn mass_cancel(&mut self, session: u32, body: &MassCancel, options: &Read) {
        let user_ref = UserRef {
            number: body.user_ref_num,
            index: options.channel(),
        };
        if !self.take_number(session, user_ref.index, user_ref.number) {
            return;
        }
        let blank = body.symbol == [b' '; 8];
        let instrument = self.instrument_of(&body.symbol);
        let side = options.values.get(&27).map(|value| value[0]);
        let group = options.values.get(&24).map(|_| options.integer(24));
        let firm = self.firm_named(session, &body.firm);
        let reason = if options.faulty {
            Some(RejectReason::Other)
        } else if firm.is_none() {
            Some(RejectReason::FirmNotAuthorized)
        } else if !blank && instrument.is_none() {
            Some(RejectReason::InvalidSymbol)
        } else if side.is_some_and(|side| !b"BSTE".contains(&side)) {
            Some(RejectReason::InvalidSide)
        } else {
            None
        };
        if let Some(reason) = reason {
            return self.reject(session, user_ref, reason, [b' '; 14]);
        }
        let (firm_code, symbol) = (body.firm, body.symbol);
        let response = MassCancelResponse {
            user_ref,
            firm: firm_code,
            symbol,
        };
        self.say(session, What::MassCancelResponse(response));
        let group_of = |order: &Order| {
            let option = order.terms.options.iter().find(|(tag, _)| *tag == 24);
            option.map_or(0, |(_, value)| {
                u64::from(u16::from_le_bytes([value[0], value[1]]))
            })
        };
        let mut meant: Vec<u64> = self
            .orders
            .iter()
            .filter(|order| order.session == session && Some(order.firm) == firm)
            .filter(|order| blank || Some(order.terms.instrument) == instrument)
            .filter(|order| side.is_none_or(|side| side == order.terms.side))
            .filter(|order| group.is_none_or(|group| group == group_of(order)))
            .map(|order| order.terms.order_reference)
            .collect();
        meant.sort_unstable();
        if self.fault == Fault::MassCancelNewestFirst {
            meant.reverse();
        }
        for reference in meant {
            let at = self
                .orders
                .iter()
                .position(|o| o.terms.order_reference == reference);
            self.cancel_at(at.unwrap(), CancelReason::User);
        }
    }

    fn switch_entry(
        &mut self,
        session: u32,
        number: u32,
        code: [u8; 4],
        off: bool,
        options: &Read,
    ) {
        let user_ref = UserRef {
            number,
            index: options.channel(),
        };
        if !self.take_number(session, user_ref.index, number) {
            return;
        }
        let firm = self.firm_named(session, &code);
        let Some(firm) = firm.filter(|_| !options.faulty) else {
            let other = options.faulty;
            let reason = if other {
                RejectReason::Other
            } else {
                RejectReason::FirmNotAuthorized
            };
            return self.reject(session, user_ref, reason, [b' '; 14]);
        };
        let disabled = &mut self.sessions.get_mut(&session).unwrap().disabled;
        disabled.retain(|other| *other != firm);
        let response = EntryResponse {
            user_ref,
            firm: code,
        };
        if off {
            disabled.push(firm);
            self.say(session, What::DisableResponse(response));
        } else {
            self.say(session, What::EnableResponse(response));
        }
    }

    /// The session's own firm if blank, or one that it may enter for.
    fn firm_named(&self, session: u32, code: &[u8]) -> Option<u32> {
        let who = &self.sessions[&session];
        if code == b"    " {
            return Some(who.firm);
        }
        let firms = std::iter::once(&who.firm).chain(&who.permitted);
        firms.copied().find(|firm| self.firms[firm][..] == *code)
    }

    fn key(&self, session: u32, channel: u8) -> (u32, u8) {
        (
            session,
            if self.fault == Fault::ChannelsShareNumbers {
                0
            } else {
                channel
            },
        )
    }

    fn last(&self, session: u32, channel: u8) -> u32 {
        self.numbers
            .get(&self.key(session, channel))
            .copied()
            .unwrap_or(0)
    }

    fn take_number(&mut self, session: u32, channel: u8, number: u32) -> bool {
        let new = number > self.last(session, channel);
        if new {
            self.numbers.insert(self.key(session, channel), number);
        }
        new
    }

    fn reject(&mut self, session: u32, user_ref: UserRef, reason: RejectReason, id: [u8; 14]) {
        self.say(
            session,
            What::Rejected(Rejected {
                user_ref,
                reason,
                client_order_id: id,
            }),
        );
    }

    fn instrument_of(&self, symbol: &[u8; 8]) -> Option<u32> {
        self.instruments
            .iter()
            .find(|(_, i)| i.symbol == *symbol)
            .map(|(id, _)| *id)
    }

    fn enter(&mut self, session: u32, body: &EnterOrder, options: &Read) {
        let user_ref = UserRef {
            number: body.user_ref_num,
            index: options.channel(),
        };
        let before = self.last(session, user_ref.index);
        if !self.take_number(session, user_ref.index, user_ref.number) {
            return;
        }
        let terms = Terms {
            instrument: self.instrument_of(&body.symbol).unwrap_or(0),
            user_ref,
            side: body.side,
            quantity: body.quantity,
            symbol: body.symbol,
            price: body.price,
            time_in_force: body.time_in_force,
            display: body.display,
            order_reference: 0,
            capacity: body.capacity,
            intermarket_sweep: body.intermarket_sweep,
            cross_type: body.cross_type,
            state: OrderState::Live,
            client_order_id: body.client_order_id,
            options: options.echo(),
        };
        match self.may_enter(session, &terms, options) {
            Ok(firm) => {
                let deadline = self.deadline(&terms, options, None).unwrap();
                let mut order = Order {
                    terms,
                    session,
                    firm,
                    open: body.quantity,
                    executed: 0,
                    floor: options.integer(5) as u32,
                    shown: 0,
                    deadline,
                    by_date: options.integer(204) != 0,
                };
                self.references += 1;
                order.terms.order_reference = self.references;
                self.say(session, What::Accepted(order.terms.clone()));
                self.trade(order, options.integer(3) as u32);
            }
            Err(reason) => {
                if self.fault == Fault::RejectConsumesNothing {
                    self.numbers
                        .insert(self.key(session, user_ref.index), before);
                }
                self.reject(session, user_ref, reason, body.client_order_id);
            }
        }
    }

    fn may_enter(&self, session: u32, terms: &Terms, options: &Read) -> Result<u32, RejectReason> {
        let instrument = self.instruments.get(&terms.instrument);
        if !self.day_open || instrument.is_some_and(|i| i.state == b'C') {
            return Err(RejectReason::DestinationClosed);
        }
        let who = &self.sessions[&session];
        if !who.order_entry {
            return Err(RejectReason::Other);
        }
        if options.faulty || options.values.contains_key(&27) || options.not_built() {
            return Err(RejectReason::Other);
        }
        let code = options.values.get(&2).map_or(&b"    "[..], |code| code);
        let firm = self
            .firm_named(session, code)
            .ok_or(RejectReason::FirmNotAuthorized)?;
        if who.disabled.contains(&firm) && self.fault != Fault::DisableIgnored {
            return Err(RejectReason::Other);
        }
        let instrument = instrument.ok_or(RejectReason::InvalidSymbol)?;
        if instrument.state == b'H' {
            return Err(RejectReason::Halted);
        }
        self.check_values(terms, options, None)?;
        let slack = usize::from(self.fault == Fault::BoundOffByOne);
        if rests(terms) {
            let full = self.orders.len() >= self.bounds[0] as usize + slack;
            let extended = options.integer(5) != 0 || terms.time_in_force == b'6';
            let full = full || (extended && self.extended() >= self.bounds[0].div_ceil(4));
            if full || !self.level_free(terms, None) {
                return Err(RejectReason::Other);
            }
        }
        Ok(firm)
    }

    /// Live orders with a display size or a deadline.
    fn extended(&self) -> u32 {
        let extended = |order: &&Order| order.floor != 0 || order.deadline != 0;
        self.orders.iter().filter(extended).count() as u32
    }

    /// When an order expires, 0 = it does not; `None` if its time in force and options do not fit.
    fn deadline(&self, terms: &Terms, options: &Read, inherited: Option<u64>) -> Option<u64> {
        let (seconds, date) = (options.integer(15), options.integer(204));
        match terms.time_in_force {
            b'0' | b'3' if seconds == 0 && date == 0 => Some(0),
            b'6' if inherited.is_some() => inherited,
            b'6' if (1..86_400).contains(&seconds) && date == 0 => {
                Some(self.now + seconds * 1_000_000_000)
            }
            b'6' if seconds == 0 && date > self.now => Some(date),
            _ => None,
        }
    }

    /// Whether there is a price level for these terms once the order at `without` is gone.
    fn level_free(&self, terms: &Terms, without: Option<usize>) -> bool {
        let place = |terms: &Terms| {
            (
                terms.instrument,
                is_buy(terms.side),
                terms.price,
                terms.display == b'N',
            )
        };
        let others = self
            .orders
            .iter()
            .enumerate()
            .filter(|(at, _)| Some(*at) != without);
        let levels: std::collections::BTreeSet<_> =
            others.map(|(_, order)| place(&order.terms)).collect();
        let slack = usize::from(self.fault == Fault::LevelBoundOffByOne);
        levels.len() < self.bounds[4] as usize + slack || levels.contains(&place(terms))
    }

    fn check_values(
        &self,
        terms: &Terms,
        options: &Read,
        inherited: Option<u64>,
    ) -> Result<(), RejectReason> {
        let instrument = &self.instruments[&terms.instrument];
        let fail = |bad: bool, reason| if bad { Err(reason) } else { Ok(()) };
        fail(!b"BSTE".contains(&terms.side), RejectReason::InvalidSide)?;
        let lot = instrument.lot_size;
        let quantity = terms.quantity;
        let odd = quantity == 0 || quantity > 999_999 || !quantity.is_multiple_of(lot);
        fail(odd, RejectReason::InvalidQuantity)?;
        let deadline = self.deadline(terms, options, inherited);
        fail(deadline.is_none(), RejectReason::Other)?;
        fail(!b"APRO".contains(&terms.capacity), RejectReason::Other)?;
        fail(terms.cross_type != b'N', RejectReason::InvalidCrossOrder)?;
        fail(
            !b"YAN".contains(&terms.display),
            RejectReason::InvalidDisplay,
        )?;
        let floor = options.integer(5);
        let bad = terms.time_in_force == b'3'
            || hidden(terms)
            || terms.price >= MARKET
            || !floor.is_multiple_of(u64::from(lot))
            || floor * 100 < u64::from(quantity);
        fail(floor != 0 && bad, RejectReason::InvalidMaxFloor)?;
        let pegged = options.letter(6, b'L') != b'L' || options.integer(7) != 0;
        fail(pegged, RejectReason::PeggingNotAllowed)?;
        fail(
            options.values.contains_key(&14),
            RejectReason::RoutingNotAllowed,
        )?;
        fail(terms.intermarket_sweep != b'N', RejectReason::IsoNotAllowed)?;
        let post_only = options.letter(12, b'N') == b'P';
        fail(
            post_only && terms.time_in_force == b'3',
            RejectReason::Other,
        )?;
        let min = options.integer(3) as u32;
        let bad = terms.time_in_force != b'3' || min > quantity || !min.is_multiple_of(lot);
        fail(min != 0 && bad, RejectReason::InvalidMinQuantity)?;
        let price = terms.price;
        let bad =
            price == 0 || price > 1_999_999_900 || !price.is_multiple_of(instrument.tick_size);
        fail(
            (price < MARKET || post_only) && bad,
            RejectReason::InvalidPrice,
        )
    }

    fn find(&self, session: u32, channel: u8, number: u32) -> Option<usize> {
        let wanted = UserRef {
            number,
            index: channel,
        };
        self.orders
            .iter()
            .position(|o| o.session == session && o.terms.user_ref == wanted)
    }

    fn replace(&mut self, session: u32, body: &ReplaceOrder, options: &Read) {
        let user_ref = UserRef {
            number: body.user_ref_num,
            index: options.channel(),
        };
        let Some(at) = self.find(session, user_ref.index, body.original_user_ref_num) else {
            return;
        };
        if user_ref.number <= self.last(session, user_ref.index) {
            return;
        }
        let original = self.orders[at].clone();
        let state = self.instruments[&original.terms.instrument].state;
        let blocked = match state {
            b'C' => Some(RejectReason::DestinationClosed),
            _ if !self.sessions[&session].order_entry => Some(RejectReason::Other),
            _ if self.sessions[&session].disabled.contains(&original.firm) => {
                Some(RejectReason::Other)
            }
            b'H' => Some(RejectReason::Halted),
            _ => None,
        };
        if let Some(reason) = blocked {
            self.take_number(session, user_ref.index, user_ref.number);
            self.reject(session, user_ref, reason, body.client_order_id);
            return;
        }
        // Absent options keep the original's value; firm and group are always the original's.
        let mut merged = options.values.clone();
        for tag in [2, 4, 12, 16, 24, 203] {
            let kept = original.terms.options.iter().find(|(kept, _)| *kept == tag);
            if tag == 2 || tag == 24 {
                merged.remove(&tag);
            }
            if let Some((_, value)) = kept {
                // The firm is the original's, said by the code it has now.
                let value = if tag == 2 {
                    self.firms[&original.firm].to_vec()
                } else {
                    value.clone()
                };
                merged.entry(tag).or_insert(value);
            }
        }
        if original.floor != 0 && body.time_in_force != b'3' && body.display != b'N' {
            merged
                .entry(5)
                .or_insert(original.floor.to_le_bytes().to_vec());
        }
        let mut inherited = None;
        let given = merged.contains_key(&15) || merged.contains_key(&204);
        if body.time_in_force == b'6' && original.deadline != 0 && !given {
            inherited = Some(original.deadline);
            let said = original
                .terms
                .options
                .iter()
                .find(|(tag, _)| *tag == 15 || *tag == 204);
            let (tag, value) = said.unwrap().clone();
            merged.insert(tag, value);
        }
        let merged = Read {
            values: merged,
            faulty: options.faulty,
        };
        let mut terms = original.terms.clone();
        terms.user_ref = user_ref;
        terms.side = merged.letter(27, original.terms.side);
        terms.quantity = body.quantity;
        terms.price = body.price;
        terms.time_in_force = body.time_in_force;
        terms.display = body.display;
        terms.intermarket_sweep = body.intermarket_sweep;
        terms.client_order_id = body.client_order_id;
        terms.options = merged.echo();
        let valid = !merged.faulty
            && !merged.not_built()
            && body.quantity > original.executed
            && self.check_values(&terms, &merged, inherited).is_ok()
            && is_buy(terms.side) == is_buy(original.terms.side)
            && merged.integer(3) as u32 <= body.quantity - original.executed;
        if !valid {
            self.cancel_at(at, CancelReason::User);
            return;
        }
        self.take_number(session, user_ref.index, user_ref.number);
        let extends = merged.integer(5) != 0 || terms.time_in_force == b'6';
        let had = original.floor != 0 || original.deadline != 0;
        let full = extends && !had && self.extended() >= self.bounds[0].div_ceil(4);
        if rests(&terms) && (full || !self.level_free(&terms, Some(at))) {
            self.reject(session, user_ref, RejectReason::Other, body.client_order_id);
            return;
        }
        self.orders.remove(at);
        let executed = if self.fault == Fault::ReplaceForgetsExecuted {
            0
        } else {
            original.executed
        };
        let open = body.quantity - executed;
        self.references += 1;
        terms.order_reference = self.references;
        let said = Terms {
            quantity: open,
            ..terms.clone()
        };
        self.say(
            session,
            What::Replaced(original.terms.user_ref.number, said),
        );
        let deadline = self.deadline(&terms, &merged, inherited).unwrap();
        let order = Order {
            terms,
            session,
            firm: original.firm,
            open,
            executed,
            floor: merged.integer(5) as u32,
            shown: 0,
            deadline,
            by_date: merged.integer(204) != 0,
        };
        self.trade(order, merged.integer(3) as u32);
        if self.fault == Fault::ReplaceKeepsPriority && self.orders.len() > at {
            let last = self.orders.pop().unwrap();
            self.orders.insert(at, last);
        }
    }

    /// What is open when the chain's total becomes `total`; `None` if the request is superfluous.
    fn lowered(&self, at: usize, total: u32) -> Option<u32> {
        let order = &self.orders[at];
        let open = total.saturating_sub(order.executed);
        let lot = self.instruments[&order.terms.instrument].lot_size;
        let increases = self.fault == Fault::CancelIncreases && open > order.open;
        if open == 0 {
            Some(0)
        } else if (open < order.open || increases) && total.is_multiple_of(lot) {
            Some(open)
        } else {
            None
        }
    }

    fn cancel(&mut self, session: u32, body: &CancelOrder, options: &Read) {
        let Some(at) = self.find(session, options.channel(), body.user_ref_num) else {
            return;
        };
        if options.faulty {
            return;
        }
        match self.lowered(at, body.quantity) {
            Some(0) => self.cancel_at(at, CancelReason::User),
            Some(open) => {
                let order = &mut self.orders[at];
                let quantity = order.open.wrapping_sub(open);
                order.open = open;
                order.shown = order.shown.min(open);
                let user_ref = order.terms.user_ref;
                let reason = CancelReason::User;
                self.say(
                    session,
                    What::Canceled(Canceled {
                        user_ref,
                        quantity,
                        reason,
                    }),
                );
            }
            None => {}
        }
    }

    fn modify(&mut self, session: u32, body: &ModifyOrder, options: &Read) {
        let Some(at) = self.find(session, options.channel(), body.user_ref_num) else {
            return;
        };
        let side = self.orders[at].terms.side;
        let changes = [(b'S', b'E'), (b'S', b'T'), (b'E', b'T')].contains(&(side, body.side));
        if options.faulty || !(changes || side == body.side) {
            return;
        }
        match self.lowered(at, body.quantity) {
            Some(0) => return self.cancel_at(at, CancelReason::User),
            Some(open) => {
                self.orders[at].open = open;
                self.orders[at].shown = self.orders[at].shown.min(open);
            }
            None if changes => {}
            None => return,
        }
        let order = &mut self.orders[at];
        order.terms.side = body.side;
        let (user_ref, quantity) = (order.terms.user_ref, order.open);
        self.say(
            session,
            What::Modified(Modified {
                user_ref,
                side: body.side,
                quantity,
            }),
        );
    }

    fn cancel_at(&mut self, at: usize, reason: CancelReason) {
        let order = self.orders.remove(at);
        let (user_ref, quantity) = (order.terms.user_ref, order.open);
        self.say(
            order.session,
            What::Canceled(Canceled {
                user_ref,
                quantity,
                reason,
            }),
        );
    }

    // ---- matching

    /// The displayed or hidden order first in price and time.
    fn first_of(&self, instrument: u32, buy: bool, is_hidden: bool) -> Option<usize> {
        let own = (0..self.orders.len()).filter(|at| {
            let terms = &self.orders[*at].terms;
            terms.instrument == instrument
                && is_buy(terms.side) == buy
                && hidden(terms) == is_hidden
                && !self.orders[*at].by_date
        });
        own.min_by_key(|at| {
            let price = self.orders[*at].terms.price;
            if buy { u64::MAX - price } else { price }
        })
    }

    /// The order first in price and time.
    fn best(&self, instrument: u32, buy: bool) -> Option<usize> {
        let mut best: Option<usize> = None;
        for (at, order) in self.orders.iter().enumerate() {
            if order.terms.instrument != instrument || is_buy(order.terms.side) != buy {
                continue;
            }
            let better = best.is_none_or(|best| {
                let (now, then) = (order.terms.price, self.orders[best].terms.price);
                if now == then && self.fault != Fault::HiddenWithDisplayed {
                    let (now, then) = (hidden(&order.terms), hidden(&self.orders[best].terms));
                    if now != then {
                        return !now;
                    }
                }
                let later_first = self.fault == Fault::LastComeFirst && now == then;
                later_first || if buy { now > then } else { now < then }
            });
            if better {
                best = Some(at);
            }
        }
        best
    }

    fn crosses(&self, order: &Order, price: u64) -> bool {
        let limit = order.terms.price;
        let slack = match self.fault {
            Fault::ThroughOwnLimit => self.instruments[&order.terms.instrument].tick_size,
            _ => 0,
        };
        limit >= MARKET
            || if is_buy(order.terms.side) {
                price <= limit + slack
            } else {
                price + slack >= limit
            }
    }

    /// Shares that `order` would trade now: tried on a copy.
    fn available(&self, order: &Order) -> u32 {
        let mut copy = Self {
            orders: self.orders.clone(),
            sessions: self.sessions.clone(),
            ..Self::new(self.fault)
        };
        copy.instruments = self.instruments.clone();
        let mut order = order.clone();
        let before = order.executed;
        copy.take(&mut order);
        order.executed - before
    }

    fn best_against(&self, order: &Order) -> Option<usize> {
        let against = self.best(order.terms.instrument, !is_buy(order.terms.side));
        against.filter(|at| self.crosses(order, self.orders[*at].terms.price))
    }

    fn take(&mut self, order: &mut Order) {
        while order.open > 0
            && let Some(at) = self.best_against(order)
        {
            let mode = self.self_trade_mode(order);
            let prevented = mode != 0 && self.fault != Fault::SelfTradeIgnored;
            if prevented && self.same_party(order.session, self.orders[at].session) {
                self.prevent(order, at, mode);
            } else {
                self.fill(order, at);
            }
        }
    }

    fn trade(&mut self, mut order: Order, minimum: u32) {
        let post_only = order.terms.options.contains(&(12, b"P".to_vec()));
        if post_only && self.best_against(&order).is_some() && self.fault != Fault::PostOnlyTakes {
            return self.cancel_entering(&order, CancelReason::PostOnlyContra);
        }
        let enough = minimum == 0 || self.available(&order) >= minimum;
        if enough || self.fault == Fault::MinimumIgnored {
            self.take(&mut order);
        }
        if order.open == 0 {
            return;
        }
        let residual_rests = self.fault == Fault::IocResidualRests && order.terms.price < MARKET;
        if rests(&order.terms) || residual_rests {
            order.shown = order.floor.min(order.open);
            self.orders.push(order);
            return;
        }
        self.cancel_entering(&order, CancelReason::ImmediateOrCancel);
    }

    fn cancel_entering(&mut self, order: &Order, reason: CancelReason) {
        let (user_ref, quantity) = (order.terms.user_ref, order.open);
        self.say(
            order.session,
            What::Canceled(Canceled {
                user_ref,
                quantity,
                reason,
            }),
        );
    }

    fn self_trade_mode(&self, order: &Order) -> u8 {
        let own = order.terms.options.iter().find(|(tag, _)| *tag == 203);
        own.map_or(
            self.sessions[&order.session].self_trade_mode,
            |(_, mode)| mode[0],
        )
    }

    fn same_party(&self, one: u32, other: u32) -> bool {
        let group = |session: u32| self.sessions[&session].self_trade_group;
        one == other || (group(one) != 0 && group(one) == group(other))
    }

    /// Two orders of one party meet: nothing trades.
    fn prevent(&mut self, order: &mut Order, at: usize, strategy: u8) {
        let resting = &mut self.orders[at];
        let quantity_prevented = order.open.min(resting.shown());
        let (resting_loss, own_loss) = match strategy {
            b'N' => (0, order.open),
            b'O' => (resting.open, 0),
            b'B' => (resting.open, order.open),
            _ if self.fault == Fault::DecrementCancels => (resting.open, quantity_prevented),
            _ => (quantity_prevented, quantity_prevented),
        };
        resting.open -= resting_loss;
        resting.shown = resting.shown.saturating_sub(resting_loss);
        order.open -= own_loss;
        let price = Price(resting.terms.price);
        let (session, resting_ref, left) = (resting.session, resting.terms.user_ref, resting.open);
        let sides = [
            (session, resting_ref, resting_loss, b'A'),
            (order.session, order.terms.user_ref, own_loss, b'R'),
        ];
        for (session, user_ref, decrement, liquidity) in sides {
            if decrement != 0 {
                let canceled = SelfMatchCanceled {
                    user_ref,
                    decrement,
                    quantity_prevented,
                    price,
                    liquidity,
                    strategy,
                };
                self.say(session, What::SelfMatchCanceled(canceled));
            }
        }
        if left == 0 {
            self.orders.remove(at);
        } else {
            self.refresh(at);
        }
    }

    /// A reserve order that displays nothing any more displays the next shares, behind all others.
    fn refresh(&mut self, at: usize) {
        let order = &mut self.orders[at];
        if order.floor == 0 || order.shown != 0 {
            return;
        }
        order.shown = order.floor.min(order.open);
        let restated = Restated {
            user_ref: order.terms.user_ref,
            reason: b'R',
            display_quantity: Some(order.shown),
            display_price: None,
            secondary_reference: None,
        };
        let session = order.session;
        if self.fault != Fault::RefreshKeepsPriority {
            let moved = self.orders.remove(at);
            self.orders.push(moved);
        }
        self.say(session, What::Restated(restated));
    }

    /// One trade: the resting side hears first.
    fn fill(&mut self, order: &mut Order, at: usize) {
        let resting = &mut self.orders[at];
        let quantity = order.open.min(resting.shown());
        resting.open -= quantity;
        resting.shown = resting.shown.saturating_sub(quantity);
        resting.executed += quantity;
        order.open -= quantity;
        order.executed += quantity;
        self.matches += 1;
        let printed = match self.fault {
            Fault::AggressorPrice if order.terms.price < MARKET => order.terms.price,
            _ => resting.terms.price,
        };
        let mut executed = Executed {
            user_ref: resting.terms.user_ref,
            quantity,
            price: Price(printed),
            liquidity: if hidden(&resting.terms) { b'J' } else { b'A' },
            match_number: MatchNumber(self.matches),
        };
        let (session, left) = (resting.session, resting.open);
        self.say(session, What::Executed(executed));
        executed.user_ref = order.terms.user_ref;
        executed.liquidity = b'R';
        self.say(order.session, What::Executed(executed));
        if left == 0 {
            self.orders.remove(at);
        } else if self.orders[at].floor != 0 {
            self.refresh(at);
        } else if self.fault == Fault::PartialFillLosesPriority {
            let moved = self.orders.remove(at);
            self.orders.push(moved);
        }
    }

    // ---- comparison

    /// Live orders of one side: displayed ones in priority, then hidden ones.
    pub fn side(&self, instrument: u32, buy: bool) -> Vec<Resting> {
        let own = |order: &&Order| {
            order.terms.instrument == instrument && is_buy(order.terms.side) == buy
        };
        let mut orders: Vec<&Order> = self.orders.iter().filter(own).collect();
        // A stable sort keeps the order of time within a price.
        orders.sort_by_key(|o| {
            let price = o.terms.price;
            (hidden(&o.terms), if buy { u64::MAX - price } else { price })
        });
        let view = |o: &Order| {
            let UserRef { number, index } = o.terms.user_ref;
            let reference = o.terms.order_reference;
            (
                o.session,
                number,
                index,
                o.terms.price,
                (o.open, o.shown()),
                o.executed,
                reference,
            )
        };
        orders.into_iter().map(view).collect()
    }

    pub fn now(&self) -> u64 {
        self.now
    }

    pub fn live(&self) -> usize {
        self.orders.len()
    }

    pub fn epoch(&self, session: u32) -> u32 {
        self.sessions
            .get(&session)
            .map_or(0, |session| session.epoch)
    }

    /// Numbers of some live orders of a session, for a generator that wants to hit them.
    pub fn live_numbers(&self, session: u32) -> Vec<UserRef> {
        let own = self.orders.iter().filter(|order| order.session == session);
        own.map(|order| order.terms.user_ref).collect()
    }

    pub fn last_number(&self, session: u32, channel: u8) -> u32 {
        self.last(session, channel)
    }
}

fn hidden(terms: &Terms) -> bool {
    terms.display == b'N'
}

fn rests(terms: &Terms) -> bool {
    terms.time_in_force != b'3' && terms.price < MARKET
}

fn trimmed(name: &[u8; 10]) -> String {
    let text = String::from_utf8_lossy(name).to_string();
    text.trim_matches([' ', '\0']).to_string()
}
