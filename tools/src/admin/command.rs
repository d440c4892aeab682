//! The command line as requests of the admin protocol.

use clap::{Args, Subcommand};
use lockstep_node::admin::protocol::{
    Command, DefineFirm, DefineInstrument, DefineSession, ORDERS_MAX, OrderView, OrdersView,
    Reload, SetState, ShowBook, ShowOrders, State,
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
    /// Price levels of a book, best first
    Book {
        symbol: String,
        /// Price levels of each side
        #[arg(long, default_value_t = 10)]
        levels: u32,
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
            Self::Book { symbol, levels } => Command::ShowBook(ShowBook {
                symbol: symbol.clone(),
                levels: *levels,
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

#[derive(Subcommand)]
pub enum Define {
    Firm {
        #[arg(long)]
        id: u32,
        /// Up to 4 upper-case letters or digits
        #[arg(long)]
        code: String,
    },
    /// A session; its password stands in the configuration file alone
    Session {
        #[arg(long)]
        id: u32,
        #[arg(long)]
        user: String,
        /// Firm id
        #[arg(long)]
        firm: u32,
        /// Ids of further firms it may enter orders for
        #[arg(long, value_delimiter = ',')]
        permitted_firms: Vec<u32>,
        #[arg(long)]
        cancel_on_disconnect: bool,
        /// It may not enter orders
        #[arg(long)]
        no_order_entry: bool,
    },
    Instrument {
        #[arg(long)]
        id: u32,
        #[arg(long)]
        symbol: String,
        /// In 1/10,000
        #[arg(long, default_value_t = 100)]
        tick_size: u32,
        #[arg(long, default_value_t = 1)]
        lot_size: u32,
    },
}

impl Define {
    pub fn request(&self) -> Command {
        match self {
            Self::Firm { id, code } => Command::DefineFirm(DefineFirm {
                id: *id,
                code: code.clone(),
            }),
            Self::Session {
                id,
                user,
                firm,
                permitted_firms,
                cancel_on_disconnect,
                no_order_entry,
            } => Command::DefineSession(DefineSession {
                id: *id,
                user: user.clone(),
                firm: *firm,
                permitted_firms: permitted_firms.clone(),
                cancel_on_disconnect: *cancel_on_disconnect,
                order_entry: !no_order_entry,
            }),
            Self::Instrument {
                id,
                symbol,
                tick_size,
                lot_size,
            } => Command::DefineInstrument(DefineInstrument {
                id: *id,
                symbol: symbol.clone(),
                tick_size: *tick_size,
                lot_size: *lot_size,
            }),
        }
    }
}

pub fn reload(apply: bool) -> Command {
    Command::Reload(Reload { apply })
}
