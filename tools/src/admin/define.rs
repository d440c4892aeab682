//! `lockstep admin define …`: definitions, and changes of what is named.

use clap::{Args, Subcommand, ValueEnum};
use lockstep_node::admin::protocol::{Command, DefineFirm, DefineInstrument, DefineSession};
use lockstep_node::config::{
    AllocationConfig, CollarActionConfig, SelfTradeModeConfig, TickBandConfig,
};
use lockstep_node::fatal::{ExitCode, Fatal};

#[derive(Subcommand)]
pub enum Define {
    Firm {
        #[arg(long)]
        id: u32,
        /// Up to 4 upper-case letters or digits
        #[arg(long)]
        code: String,
    },
    /// A session; its password stands in the configuration file alone. What is left out stays as it is
    Session(Session),
    /// An instrument; what is left out stays as it is
    Instrument(Instrument),
}

#[derive(Args)]
pub struct Session {
    #[arg(long)]
    id: u32,
    #[arg(long)]
    user: Option<String>,
    /// Firm id
    #[arg(long)]
    firm: Option<u32>,
    /// Ids of further firms it may enter orders for
    #[arg(long, value_delimiter = ',', conflicts_with = "no_permitted_firms")]
    permitted_firms: Option<Vec<u32>>,
    /// Its own firm only
    #[arg(long)]
    no_permitted_firms: bool,
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    cancel_on_disconnect: Option<bool>,
    /// Whether it may enter orders
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    order_entry: Option<bool>,
    /// It may not enter orders
    #[arg(long, conflicts_with = "order_entry")]
    no_order_entry: bool,
    /// Sessions of one group do not trade with each other; 0: a group of its own
    #[arg(long)]
    self_trade_group: Option<u32>,
    /// What becomes of its orders that would trade with their own group
    #[arg(long)]
    self_trade_mode: Option<SelfTradeMode>,
}

#[derive(Clone, Copy, ValueEnum)]
enum SelfTradeMode {
    None,
    Newest,
    Oldest,
    Both,
    Decrement,
}

impl SelfTradeMode {
    fn config(self) -> SelfTradeModeConfig {
        match self {
            Self::None => SelfTradeModeConfig::None,
            Self::Newest => SelfTradeModeConfig::Newest,
            Self::Oldest => SelfTradeModeConfig::Oldest,
            Self::Both => SelfTradeModeConfig::Both,
            Self::Decrement => SelfTradeModeConfig::Decrement,
        }
    }
}

#[derive(Args)]
pub struct Instrument {
    #[arg(long)]
    id: u32,
    #[arg(long)]
    symbol: Option<String>,
    /// In 1/10,000; of a new one 100 if left out
    #[arg(long)]
    tick_size: Option<u32>,
    /// Of a new one 1 if left out
    #[arg(long)]
    lot_size: Option<u32>,
    /// FROM_PRICE:TICK_SIZE,… ascending: other ticks from these prices on
    #[arg(long, value_delimiter = ',', value_parser = parse_band, conflicts_with = "no_tick_bands")]
    tick_bands: Option<Vec<TickBandConfig>>,
    /// One tick size at all prices
    #[arg(long)]
    no_tick_bands: bool,
    #[arg(long)]
    allocation: Option<Allocation>,
    /// Smallest share of a pro-rata allocation
    #[arg(long, requires = "allocation")]
    allocation_minimum: Option<u32>,
    /// Per cent that the first order of a price gives in a top-share allocation
    #[arg(long, requires = "allocation")]
    top_share: Option<u32>,
    /// How far from the reference price a trade may be, in 1/10,000 of it; 0: as far as it likes
    #[arg(long)]
    static_collar: Option<u32>,
    /// The same from the last trade's price
    #[arg(long)]
    dynamic_collar: Option<u32>,
    /// What an order that would trade beyond a collar causes
    #[arg(long)]
    collar_action: Option<CollarAction>,
    /// Of the volatility auction that a collar causes
    #[arg(long)]
    auction_duration_ms: Option<u32>,
    #[arg(long)]
    auction_random_end_ms: Option<u32>,
    /// Between two indications of an auction's outcome; 0: only at its begin
    #[arg(long)]
    indication_interval_ms: Option<u32>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Allocation {
    PriceTime,
    ProRata,
    TopShare,
}

#[derive(Clone, Copy, ValueEnum)]
enum CollarAction {
    Reject,
    Auction,
}

fn parse_band(text: &str) -> Result<TickBandConfig, String> {
    let band = text.split_once(':').and_then(|(from_price, tick_size)| {
        Some(TickBandConfig {
            from_price: from_price.parse().ok()?,
            tick_size: tick_size.parse().ok()?,
        })
    });
    band.ok_or_else(|| format!("`{text}` is no tick band: FROM_PRICE:TICK_SIZE"))
}

impl Session {
    fn request(&self) -> Command {
        let none = self.no_permitted_firms.then(Vec::new);
        Command::DefineSession(DefineSession {
            id: self.id,
            user: self.user.clone(),
            firm: self.firm,
            permitted_firms: self.permitted_firms.clone().or(none),
            cancel_on_disconnect: self.cancel_on_disconnect,
            order_entry: self.order_entry.or(self.no_order_entry.then_some(false)),
            self_trade_group: self.self_trade_group,
            self_trade_mode: self.self_trade_mode.map(SelfTradeMode::config),
        })
    }
}

impl Instrument {
    fn request(&self) -> Command {
        let none = self.no_tick_bands.then(Vec::new);
        Command::DefineInstrument(DefineInstrument {
            id: self.id,
            symbol: self.symbol.clone(),
            tick_size: self.tick_size,
            lot_size: self.lot_size,
            tick_bands: self.tick_bands.clone().or(none),
            allocation: self.allocation.map(|allocation| match allocation {
                Allocation::PriceTime => AllocationConfig::PriceTime,
                Allocation::ProRata => AllocationConfig::ProRata,
                Allocation::TopShare => AllocationConfig::TopShare,
            }),
            allocation_minimum: self.allocation_minimum,
            top_share: self.top_share,
            static_collar: self.static_collar,
            dynamic_collar: self.dynamic_collar,
            collar_action: self.collar_action.map(|action| match action {
                CollarAction::Reject => CollarActionConfig::Reject,
                CollarAction::Auction => CollarActionConfig::Auction,
            }),
            auction_duration_ms: self.auction_duration_ms,
            auction_random_end_ms: self.auction_random_end_ms,
            indication_interval_ms: self.indication_interval_ms,
        })
    }
}

impl Define {
    /// A change that names nothing would be a definition again, for nothing.
    pub fn request(&self) -> Result<Command, Fatal> {
        let nothing = |command: &Command| match command {
            Command::DefineSession(define) => {
                let id = define.id;
                *define
                    == DefineSession {
                        id,
                        ..DefineSession::default()
                    }
            }
            Command::DefineInstrument(define) => {
                let id = define.id;
                *define
                    == DefineInstrument {
                        id,
                        ..DefineInstrument::default()
                    }
            }
            _ => false,
        };
        let command = match self {
            Self::Firm { id, code } => Command::DefineFirm(DefineFirm {
                id: *id,
                code: code.clone(),
            }),
            Self::Session(session) => session.request(),
            Self::Instrument(instrument) => instrument.request(),
        };
        if nothing(&command) {
            let what = "define: say what to define or change";
            return Err(Fatal::new(ExitCode::Usage, what));
        }
        Ok(command)
    }
}
