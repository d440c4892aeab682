//! What the state machine says: numbered events of a session's outbound stream, and controls.
//!
//! An event is canonical: it holds what happened, not how a protocol prints it. Encoders (OUCH now, FIX
//! later) are functions of it. Events live only on the engine's stack; nothing here is stored.

use crate::{
    ConnectionEpoch, Gateway, InstrumentId, MatchNumber, OrderReference, Parts, Price, Record,
    Sequence, SessionId, StreamNumber,
};

/// Where and when a numbered event goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Delivery {
    pub session: SessionId,
    /// Number on the session's outbound stream of the trading day, from 1, without gaps.
    pub number: StreamNumber,
    /// ns since the trading day's midnight.
    pub time_ns: u64,
}

/// An order as the client knows it: (session, index, number).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct UserRef {
    pub number: u32,
    /// OUCH option 28; 0 when the client uses none.
    pub index: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum OrderState {
    Live = b'L',
    /// Accepted and ended at once; nothing more will be said of it.
    Dead = b'D',
}

/// Terms that Accepted and Replaced echo.
#[derive(Clone, Copy, Debug)]
pub struct OrderTerms<'a> {
    pub user_ref: UserRef,
    /// As on the wire: `B`, `S`, `T`, `E`.
    pub side: u8,
    pub quantity: u32,
    pub symbol: [u8; 8],
    pub price: Price,
    pub time_in_force: u8,
    pub display: u8,
    pub order_reference: OrderReference,
    pub capacity: u8,
    pub intermarket_sweep: u8,
    pub cross_type: u8,
    pub state: OrderState,
    pub client_order_id: [u8; 14],
    /// Options as accepted; the encoder echoes those with OUCH tags.
    pub options: Parts<'a>,
}

#[derive(Clone, Copy, Debug)]
pub struct Accepted<'a> {
    pub instrument: InstrumentId,
    pub terms: OrderTerms<'a>,
}

#[derive(Clone, Copy, Debug)]
pub struct Replaced<'a> {
    pub instrument: InstrumentId,
    pub original: u32,
    /// `quantity` is what is open now.
    pub terms: OrderTerms<'a>,
}

/// Reasons of a Canceled message; the value is the wire's letter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum CancelReason {
    Regulatory = b'D',
    Closed = b'E',
    PostOnlyNms = b'F',
    PostOnlyContra = b'G',
    Halted = b'H',
    ImmediateOrCancel = b'I',
    MarketCollar = b'K',
    SelfMatch = b'Q',
    Supervisory = b'S',
    Timeout = b'T',
    User = b'U',
    OpenProtection = b'X',
    System = b'Z',
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Canceled {
    pub user_ref: UserRef,
    /// Shares removed by this cancel.
    pub quantity: u32,
    pub reason: CancelReason,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SelfMatchCanceled {
    pub user_ref: UserRef,
    pub decrement: u32,
    pub quantity_prevented: u32,
    pub price: Price,
    pub liquidity: u8,
    pub strategy: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Executed {
    pub user_ref: UserRef,
    pub quantity: u32,
    pub price: Price,
    /// `A` added, `R` removed; auctions and hidden liquidity have their own letters.
    pub liquidity: u8,
    pub match_number: MatchNumber,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Broken {
    pub user_ref: UserRef,
    pub match_number: MatchNumber,
    pub reason: u8,
    pub client_order_id: [u8; 14],
}

/// Reasons of a Rejected message (OUCH 5.0), the value on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u16)]
pub enum RejectReason {
    DestinationClosed = 0x02,
    InvalidDisplay = 0x03,
    InvalidMaxFloor = 0x04,
    InvalidPegType = 0x05,
    FatFinger = 0x06,
    Halted = 0x07,
    IsoNotAllowed = 0x08,
    InvalidSide = 0x09,
    ProcessingError = 0x0A,
    CancelPending = 0x0B,
    FirmNotAuthorized = 0x0C,
    InvalidMinQuantity = 0x0D,
    NoClosingReferencePrice = 0x0E,
    Other = 0x0F,
    CancelNotAllowed = 0x10,
    PeggingNotAllowed = 0x11,
    CrossedMarket = 0x12,
    InvalidQuantity = 0x13,
    InvalidCrossOrder = 0x14,
    ReplaceNotAllowed = 0x15,
    RoutingNotAllowed = 0x16,
    InvalidSymbol = 0x17,
    RetailNotAllowed = 0x1A,
    InvalidMidpointPostOnlyPrice = 0x1B,
    InvalidPrice = 0x1D,
    SharesExceedThreshold = 0x1E,
    ExceedsMaxNotional = 0x1F,
    RiskAggregateExposure = 0x20,
    RiskRestrictedStock = 0x22,
    RiskShortSellRestricted = 0x23,
    RiskFatFinger = 0x26,
    RiskLocateRequired = 0x27,
    RiskSymbolMessageRate = 0x28,
    RiskPortMessageRate = 0x29,
    RiskMarketOrderNotAllowed = 0x2C,
    RiskSingleOrderNotional = 0x30,
    RiskMaxQuantity = 0x31,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rejected {
    pub user_ref: UserRef,
    pub reason: RejectReason,
    /// Spaces where the request carries none.
    pub client_order_id: [u8; 14],
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PriorityUpdate {
    pub user_ref: UserRef,
    pub price: Price,
    pub display: u8,
    pub order_reference: OrderReference,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Modified {
    pub user_ref: UserRef,
    pub side: u8,
    /// Shares open now.
    pub quantity: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Restated {
    pub user_ref: UserRef,
    pub reason: u8,
    pub display_quantity: Option<u32>,
    pub display_price: Option<Price>,
    pub secondary_reference: Option<OrderReference>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MassCancelResponse {
    pub user_ref: UserRef,
    pub firm: [u8; 4],
    pub symbol: [u8; 8],
}

/// Answer to DisableEntry (`G`) and EnableEntry (`K`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EntryResponse {
    pub user_ref: UserRef,
    pub firm: [u8; 4],
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AccountQueryResponse {
    /// `number`: the next usable one on channel `index`.
    pub next: UserRef,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum SystemEventCode {
    StartOfDay = b'S',
    EndOfDay = b'E',
}

/// A numbered event of one session's outbound stream; one OUCH message each.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    System(SystemEventCode),
    Accepted(&'a Accepted<'a>),
    Replaced(&'a Replaced<'a>),
    Canceled(&'a Canceled),
    SelfMatchCanceled(&'a SelfMatchCanceled),
    Executed(&'a Executed),
    Broken(&'a Broken),
    Rejected(&'a Rejected),
    CancelPending(UserRef),
    CancelReject(UserRef),
    PriorityUpdate(&'a PriorityUpdate),
    Modified(&'a Modified),
    Restated(&'a Restated),
    MassCancelResponse(&'a MassCancelResponse),
    DisableResponse(&'a EntryResponse),
    EnableResponse(&'a EntryResponse),
    AccountQueryResponse(&'a AccountQueryResponse),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum LoginRejectReason {
    /// `A`: said by the gateway for a bad password; by the state machine for an unknown session id.
    NotAuthorized = b'A',
    /// `S`: another trading session, a number above the next, or no open day.
    SessionNotAvailable = b'S',
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConnectionEnd {
    /// A newer login of the same session was accepted.
    Superseded,
    /// The client asked to log out.
    Logout,
}

/// Why an operator's record was refused as a whole; a number is never given a second meaning.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u16)]
pub enum Refusal {
    /// Out of range, or it contradicts the state.
    Unspecified = 1,
    /// A part that this build does not know and may not ignore.
    UnknownPart = 2,
    /// It did not come from the operator.
    NotOperator = 3,
    /// The id is 0 or above its bound.
    OutOfBounds = 4,
    /// Another entry has that name.
    Taken = 5,
    /// It names what is not defined.
    Undefined = 6,
    /// A field's value is not allowed.
    Value = 7,
    /// Live orders depend on what it would change.
    LiveOrders = 8,
    /// A day is open.
    DayOpen = 9,
    /// No day is open.
    NoDay = 10,
    /// The date is not after the last day's, or its midnight is in the future.
    Date = 11,
    /// Bounds may only be raised.
    BoundLowered = 12,
    /// No such order is live.
    NotLive = 13,
    /// The trade is not known, not of today, or broken already.
    NotKnown = 14,
    /// A bound of the log is reached.
    Full = 15,
    /// The trading state may not follow the instrument's present one.
    State = 16,
}

impl Refusal {
    pub const ALL: &[Self] = &[
        Self::Unspecified,
        Self::UnknownPart,
        Self::NotOperator,
        Self::OutOfBounds,
        Self::Taken,
        Self::Undefined,
        Self::Value,
        Self::LiveOrders,
        Self::DayOpen,
        Self::NoDay,
        Self::Date,
        Self::BoundLowered,
        Self::NotLive,
        Self::NotKnown,
        Self::Full,
        Self::State,
    ];

    pub fn from_u16(value: u16) -> Option<Self> {
        Self::ALL.iter().copied().find(|r| *r as u16 == value)
    }

    /// In words, for people.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Unspecified => "out of range, or it contradicts the state",
            Self::UnknownPart => "it holds a part that this build does not know",
            Self::NotOperator => "it did not come from the operator",
            Self::OutOfBounds => "the id is 0 or above its bound",
            Self::Taken => "another entry has that name",
            Self::Undefined => "it names what is not defined",
            Self::Value => "a value is not allowed",
            Self::LiveOrders => "live orders depend on what it would change",
            Self::DayOpen => "a day is open",
            Self::NoDay => "no day is open",
            Self::Date => "the date is not after the last day's",
            Self::BoundLowered => "bounds may only be raised",
            Self::NotLive => "no such order is live",
            Self::NotKnown => "the trade is not known, not of today, or broken already",
            Self::Full => "a bound of the log is reached",
            Self::State => "that trading state may not follow the present one",
        }
    }
}

/// What the state machine tells the shell beside the numbered streams. It consumes no number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Control {
    LoginAccepted {
        gateway: Gateway,
        connection: u64,
        session: SessionId,
        epoch: ConnectionEpoch,
        session_name: [u8; 10],
        /// Number of the first sequenced message on this connection (replay starts there).
        first_number: StreamNumber,
        /// Number the stream gives its next message; `first_number..next_number` is replayed.
        next_number: StreamNumber,
    },
    LoginRejected {
        gateway: Gateway,
        connection: u64,
        reason: LoginRejectReason,
    },
    /// The shell sends `Z` if superseded, and closes.
    ConnectionEnded {
        gateway: Gateway,
        connection: u64,
        session: SessionId,
        epoch: ConnectionEpoch,
        why: ConnectionEnd,
    },
    /// New outbound streams begin at number 1.
    DayOpened {
        date: u32,
        midnight: u64,
        session_name: [u8; 10],
    },
    /// The streams have had their last message: after it, `Z` and close on every connection.
    DayClosed { session_name: [u8; 10] },
    /// An instrument's trading state has changed.
    InstrumentState {
        instrument: InstrumentId,
        /// A letter of SetInstrumentState.
        state: u8,
    },
    /// What an auction would do if its call ended now.
    Indication {
        instrument: InstrumentId,
        /// 0 = nothing would trade.
        price: Price,
        /// Shares that would trade.
        quantity: u64,
        /// Shares that would trade at the price, but find no other side.
        imbalance: u64,
        /// Their side: `B`, `S`; `N` = none are.
        imbalance_side: u8,
    },
    /// An auction has traded; its executions have been said.
    Uncrossed {
        instrument: InstrumentId,
        price: Price,
        quantity: u64,
        /// As in the executions: `O` opening, `C` closing, `H` after a halt or a volatility auction.
        cross_type: u8,
    },
    /// An operator's record with an `OPERATOR_REQUEST` part has been applied, or refused as a whole.
    OperatorAnswered {
        request: u64,
        sequence: Sequence,
        refusal: Option<Refusal>,
    },
}

/// Receives what the state machine says, in order. Statically dispatched; must not fail or block.
pub trait EventSink {
    /// The record whose events follow; what a batch says before its first record is time's doing. For
    /// tools that tell cause from effect: a node's sinks leave it empty, and then it costs nothing.
    #[inline(always)]
    fn record(&mut self, _sequence: Sequence, _record: &Record<'_>) {}
    fn deliver(&mut self, to: &Delivery, event: Event<'_>);
    fn control(&mut self, control: &Control);
}

/// Throws everything away: replay that only wants the state.
#[derive(Clone, Copy, Debug, Default)]
pub struct NullSink;

impl EventSink for NullSink {
    #[inline(always)]
    fn deliver(&mut self, _: &Delivery, _: Event<'_>) {}
    #[inline(always)]
    fn control(&mut self, _: &Control) {}
}
