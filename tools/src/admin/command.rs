//! The command line as requests of the admin protocol.

use clap::{Args, Subcommand};
use lockstep_node::admin::protocol::{
    BookView, Command, LEVELS_MAX, ORDERS_MAX, OrderView, OrdersView, Reload, SetState, ShowBook,
    ShowFirm, ShowInstrument, ShowOrders, ShowPositions, ShowSession, ShowStatistics, State,
};
use lockstep_node::fatal::{ExitCode, Fatal};

pub const HALTED: State = State::Halted;
pub const TRADING: State = State::Trading;
pub const CLOSED: State = State::Closed;

#[derive(Subcommand)]
pub enum Show {
    /// Version, place in the log, day, counts
    Status,
    /// The trading day
    Day,
    /// The log's bounds
    Bounds,
    /// Counters of the node
    Counters,
    Firms,
    Sessions,
    Instruments,
    /// A firm, its limits, and what is used of them
    Firm {
        id: u32,
    },
    /// A session, its limits, throttle and protections, and what is used of them
    Session {
        id: u32,
    },
    /// An instrument's rules, schedule and statistics, and the auction that is called
    Instrument {
        symbol: String,
    },
    /// Price levels of a book, best first
    Book {
        symbol: String,
        /// Price levels of each side
        #[arg(long, default_value_t = 10)]
        levels: u32,
    },
    /// Positions of a firm, in an instrument, or of both
    Positions {
        #[arg(long, required_unless_present = "symbol")]
        firm: Option<u32>,
        #[arg(long)]
        symbol: Option<String>,
    },
    /// Prices and volume of the day, of one instrument or of all
    Statistics {
        symbol: Option<String>,
    },
    /// A session's live orders, oldest order reference first
    Orders {
        /// Session id
        session: u32,
        /// At most so many
        #[arg(long)]
        count: Option<u32>,
    },
}

impl Show {
    pub fn request(&self) -> Command {
        match self {
            Self::Status => Command::ShowStatus,
            Self::Day => Command::ShowDay,
            Self::Bounds => Command::ShowBounds,
            Self::Counters => Command::ShowCounters,
            Self::Firms => Command::ShowFirms,
            Self::Sessions => Command::ShowSessions,
            Self::Instruments => Command::ShowInstruments,
            Self::Firm { id } => Command::ShowFirm(ShowFirm { id: *id }),
            Self::Session { id } => Command::ShowSession(ShowSession { id: *id }),
            Self::Instrument { symbol } => Command::ShowInstrument(ShowInstrument {
                symbol: symbol.clone(),
            }),
            Self::Positions { firm, symbol } => Command::ShowPositions(ShowPositions {
                firm: *firm,
                symbol: symbol.clone(),
            }),
            Self::Statistics { symbol } => Command::ShowStatistics(ShowStatistics {
                symbol: symbol.clone(),
            }),
            Self::Book { symbol, levels } => Command::ShowBook(ShowBook {
                symbol: symbol.clone(),
                levels: (*levels).min(LEVELS_MAX),
                bids_behind: None,
                asks_behind: None,
            }),
            Self::Orders { session, count } => Command::ShowOrders(ShowOrders {
                session: *session,
                after: None,
                count: count.unwrap_or(ORDERS_MAX).min(ORDERS_MAX),
            }),
        }
    }
}

/// A session's live orders, at most `count`, by as many requests as it takes.
pub fn all_orders(
    session: u32,
    count: u32,
    mut ask: impl FnMut(Command) -> Result<OrdersView, Fatal>,
) -> Result<Vec<OrderView>, Fatal> {
    let mut orders: Vec<OrderView> = Vec::new();
    let mut after = None;
    loop {
        let left = count.saturating_sub(orders.len() as u32);
        let page = ask(Command::ShowOrders(ShowOrders {
            session,
            after,
            count: left.min(ORDERS_MAX),
        }))?;
        orders.extend(page.orders);
        after = page.next;
        if after.is_none() || orders.len() as u32 >= count {
            orders.truncate(count as usize);
            return Ok(orders);
        }
    }
}

/// A book's best levels, by as many requests as it takes.
pub fn whole_book(
    symbol: &str,
    levels: u32,
    mut ask: impl FnMut(Command) -> Result<BookView, Fatal>,
) -> Result<BookView, Fatal> {
    let mut whole: Option<BookView> = None;
    let mut left = levels;
    loop {
        let last = whole.as_ref();
        let page = ask(Command::ShowBook(ShowBook {
            symbol: symbol.to_owned(),
            levels: left.min(LEVELS_MAX),
            bids_behind: last.and_then(|book| book.bids.last().map(|level| level.price)),
            asks_behind: last.and_then(|book| book.asks.last().map(|level| level.price)),
        }))?;
        let longest = page.bids.len().max(page.asks.len()) as u32;
        left = left.saturating_sub(longest);
        let is_last = longest < LEVELS_MAX || left == 0;
        match &mut whole {
            None => whole = Some(page),
            Some(whole) => {
                whole.bids.extend(page.bids);
                whole.asks.extend(page.asks);
                (whole.sequence, whole.state) = (page.sequence, page.state);
            }
        }
        if let Some(book) = whole.take_if(|_| is_last) {
            return Ok(book);
        }
    }
}

#[derive(Args)]
pub struct Which {
    /// The instrument
    symbol: Option<String>,
    /// Every instrument
    #[arg(long, conflicts_with = "symbol")]
    all: bool,
}

impl Which {
    pub fn request(&self, state: State) -> Result<Command, Fatal> {
        if self.symbol.is_none() && !self.all {
            let what = "say which: a SYMBOL, or --all";
            return Err(Fatal::new(ExitCode::Usage, what));
        }
        Ok(Command::SetState(SetState {
            symbol: self.symbol.clone(),
            state,
        }))
    }
}

pub fn reload(apply: bool) -> Command {
    Command::Reload(Reload { apply })
}

/// The states by their names in the protocol.
#[derive(Clone, Copy, clap::ValueEnum)]
pub enum StateName {
    Trading,
    Halted,
    Closed,
    PreOpen,
    OpeningAuction,
    VolatilityAuction,
    ClosingAuction,
}

impl StateName {
    pub fn state(self) -> State {
        match self {
            Self::Trading => State::Trading,
            Self::Halted => State::Halted,
            Self::Closed => State::Closed,
            Self::PreOpen => State::PreOpen,
            Self::OpeningAuction => State::OpeningAuction,
            Self::VolatilityAuction => State::VolatilityAuction,
            Self::ClosingAuction => State::ClosingAuction,
        }
    }
}
