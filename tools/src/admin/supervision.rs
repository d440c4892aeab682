//! Commands of supervision as requests: entry, cancels, broken trades, limits, protection.

use clap::{Args, Subcommand};
use lockstep_node::admin::protocol::{
    BreakTrade, CancelOrder, Command, Entry, MassCancel, ResetProtection, RetireInstrument, Scope,
    SetEntry, SetGrace, SetLimits, SetPosition, SetProtection, SetThrottle,
};
use lockstep_node::fatal::{ExitCode, Fatal};

/// One session, one firm, or the venue.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub struct Whose {
    /// Session id
    #[arg(long)]
    session: Option<u32>,
    /// Firm id
    #[arg(long)]
    firm: Option<u32>,
    /// The whole venue
    #[arg(long)]
    venue: bool,
}

impl Whose {
    fn scope(&self) -> Scope {
        match (self.session, self.firm) {
            (Some(id), _) => Scope::Session(id),
            (None, Some(id)) => Scope::Firm(id),
            (None, None) => Scope::Venue,
        }
    }
}

#[derive(Subcommand)]
pub enum Supervision {
    /// Disable order entry; live orders stay
    Disable(Whose),
    /// Disable order entry and cancel all live orders
    Kill(Whose),
    /// Enable order entry again
    Enable(Whose),
    /// Cancel all live orders that fit
    MassCancel {
        #[arg(long)]
        session: Option<u32>,
        #[arg(long)]
        firm: Option<u32>,
        #[arg(long)]
        symbol: Option<String>,
        /// B, S, T or E
        #[arg(long)]
        side: Option<char>,
        #[arg(long)]
        group_id: Option<u16>,
        /// Every order of the venue
        #[arg(long)]
        all: bool,
    },
    /// Cancel what is open of one order
    CancelOrder {
        session: u32,
        user_ref: u32,
        #[arg(long, default_value_t = 0)]
        user_ref_index: u8,
        /// Only if this is its order reference
        #[arg(long, default_value_t = 0)]
        reference: u64,
    },
    /// Break a trade of the day; both sides hear so
    BreakTrade {
        match_number: u64,
        /// E erroneous, C consent, S supervisory, X external
        #[arg(long, default_value_t = 'S')]
        reason: char,
    },
    /// Set limits of a session or a firm, 0 = none; what is left out stays
    SetLimits(Limits),
    /// Bound a session's requests in a window of time; 0 messages: not bounded
    SetThrottle {
        session: u32,
        messages_max: u32,
        #[arg(long, default_value_t = 1000)]
        window_ms: u64,
    },
    /// Market-maker protection of a session or one of its groups; without limits: it ends
    SetProtection {
        session: u32,
        #[arg(long)]
        group_id: Option<u16>,
        #[arg(long, default_value_t = 1000)]
        window_ms: u64,
        #[arg(long, default_value_t = 0)]
        executions_max: u32,
        #[arg(long, default_value_t = 0)]
        quantity_max: u64,
    },
    /// End what a tripped protection refuses
    ResetProtection {
        session: u32,
        #[arg(long)]
        group_id: Option<u16>,
    },
    /// Set a firm's net position beside what it traded today
    #[command(allow_negative_numbers = true)]
    SetPosition {
        firm: u32,
        symbol: String,
        position: i64,
    },
    /// Take an instrument out of trading
    Retire { symbol: String },
    /// How long a session that a change of leader cut off may stay away before its orders are cancelled
    SetGrace {
        /// 0: for ever
        milliseconds: u64,
    },
}

#[derive(Args)]
pub struct Limits {
    #[command(flatten)]
    whose: Whose,
    #[arg(long)]
    order_quantity_max: Option<u32>,
    /// In 1/10,000
    #[arg(long)]
    order_notional_max: Option<u64>,
    #[arg(long)]
    open_orders_max: Option<u32>,
    /// In 1/10,000
    #[arg(long)]
    open_notional_max: Option<u64>,
    /// Shares; of a firm only
    #[arg(long)]
    long_max: Option<u64>,
    #[arg(long)]
    short_max: Option<u64>,
    #[arg(long)]
    gross_max: Option<u64>,
}

fn window_ns(window_ms: u64) -> Result<u64, Fatal> {
    let too_long = || Fatal::new(ExitCode::Usage, format!("{window_ms} ms are too many"));
    window_ms.checked_mul(1_000_000).ok_or_else(too_long)
}

fn entry(whose: &Whose, entry: Entry) -> Command {
    let scope = whose.scope();
    Command::SetEntry(SetEntry { scope, entry })
}

impl Limits {
    fn request(&self) -> Command {
        Command::SetLimits(SetLimits {
            scope: self.whose.scope(),
            order_quantity_max: self.order_quantity_max,
            order_notional_max: self.order_notional_max,
            open_orders_max: self.open_orders_max,
            open_notional_max: self.open_notional_max,
            long_max: self.long_max,
            short_max: self.short_max,
            gross_max: self.gross_max,
        })
    }
}

impl Supervision {
    pub fn request(&self) -> Result<Command, Fatal> {
        Ok(match self {
            Self::Disable(whose) => entry(whose, Entry::Disabled),
            Self::Kill(whose) => entry(whose, Entry::Killed),
            Self::Enable(whose) => entry(whose, Entry::Enabled),
            Self::MassCancel {
                session,
                firm,
                symbol,
                side,
                group_id,
                all,
            } => Command::MassCancel(MassCancel {
                session: *session,
                firm: *firm,
                symbol: symbol.clone(),
                side: *side,
                group_id: *group_id,
                all: *all,
            }),
            Self::CancelOrder {
                session,
                user_ref,
                user_ref_index,
                reference,
            } => Command::CancelOrder(CancelOrder {
                session: *session,
                user_ref: *user_ref,
                user_ref_index: *user_ref_index,
                reference: *reference,
            }),
            Self::BreakTrade {
                match_number,
                reason,
            } => Command::BreakTrade(BreakTrade {
                match_number: *match_number,
                reason: *reason,
            }),
            Self::SetLimits(limits) => limits.request(),
            _ => return self.protection(),
        })
    }

    fn protection(&self) -> Result<Command, Fatal> {
        Ok(match self {
            Self::SetThrottle {
                session,
                messages_max,
                window_ms,
            } => Command::SetThrottle(SetThrottle {
                session: *session,
                messages_max: *messages_max,
                window_ns: window_ns(*window_ms)?,
            }),
            Self::SetProtection {
                session,
                group_id,
                window_ms,
                executions_max,
                quantity_max,
            } => Command::SetProtection(SetProtection {
                session: *session,
                group_id: *group_id,
                window_ns: window_ns(*window_ms)?,
                executions_max: *executions_max,
                quantity_max: *quantity_max,
            }),
            Self::ResetProtection { session, group_id } => {
                Command::ResetProtection(ResetProtection {
                    session: *session,
                    group_id: *group_id,
                })
            }
            Self::SetPosition {
                firm,
                symbol,
                position,
            } => Command::SetPosition(SetPosition {
                firm: *firm,
                symbol: symbol.clone(),
                position: *position,
            }),
            Self::Retire { symbol } => Command::RetireInstrument(RetireInstrument {
                symbol: symbol.clone(),
            }),
            Self::SetGrace { milliseconds } => Command::SetGrace(SetGrace {
                grace_ns: window_ns(*milliseconds)?,
            }),
            _ => unreachable!("the caller has the others"),
        })
    }
}
