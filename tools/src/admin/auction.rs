//! Auctions, schedules and reference prices on the command line.

use clap::{Args, Subcommand, ValueEnum};
use lockstep_node::admin::protocol::{
    Auction, Command, NextState, SetReferencePrice, SetSchedule, StartAuction,
};
use lockstep_node::config::ScheduleConfig;
use lockstep_node::fatal::{ExitCode, Fatal};

#[derive(Subcommand)]
pub enum AuctionCommand {
    /// Begin an auction whose call ends by itself
    StartAuction {
        symbol: String,
        auction: AuctionName,
        /// Of the call
        #[arg(long)]
        duration_ms: u32,
        /// The call lasts up to so much longer, drawn at random
        #[arg(long, default_value_t = 0)]
        random_end_ms: u32,
        /// State after it; left out: closed after the closing auction, else trading
        #[arg(long)]
        next_state: Option<NextStateName>,
    },
    /// Set when an instrument changes its state each day; times that are left out do not happen by themselves
    SetSchedule {
        symbol: String,
        #[command(flatten)]
        times: Times,
        /// A call that the schedule ends lasts up to so much longer, drawn at random
        #[arg(long, default_value_t = 0)]
        random_end_ms: u32,
        /// Nothing happens by itself
        #[arg(long, conflicts_with_all = ["Times", "random_end_ms"])]
        none: bool,
    },
    /// Set the price around which the static collar lies and that decides between equal auction prices
    SetReferencePrice {
        symbol: String,
        /// In 1/10,000, on a tick; 0: none
        price: u64,
    },
}

/// Times of day at the venue as HH:MM, HH:MM:SS or HH:MM:SS.mmm, up to 47:59:59.999.
#[derive(Args)]
#[group(multiple = true)]
pub struct Times {
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pre_open: Option<u32>,
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    opening_auction: Option<u32>,
    /// Ends the opening auction's call
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    trading: Option<u32>,
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    closing_auction: Option<u32>,
    /// Ends the closing auction's call
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    closed: Option<u32>,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum AuctionName {
    Opening,
    Volatility,
    Closing,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum NextStateName {
    Trading,
    Closed,
}

/// Milliseconds after midnight of a time of day; one after midnight of the next day has more than 24 hours.
pub fn parse_time(text: &str) -> Result<u32, String> {
    let wrong = || format!("`{text}` is no time: HH:MM, HH:MM:SS or HH:MM:SS.mmm");
    let number = |digits: &str, width: usize, end: u32| {
        let whole = digits.len() == width && digits.bytes().all(|b| b.is_ascii_digit());
        let value = digits.parse().ok().filter(|_| whole);
        value.filter(|value: &u32| *value < end).ok_or_else(wrong)
    };
    let (clock, thousandths) = match text.split_once('.') {
        Some((clock, thousandths)) => (clock, number(thousandths, 3, 1000)?),
        None => (text, 0),
    };
    let mut fields = clock.split(':');
    let hours = number(fields.next().unwrap_or_default(), 2, 48)?;
    let minutes = number(fields.next().unwrap_or_default(), 2, 60)?;
    let seconds = match fields.next() {
        Some(seconds) => number(seconds, 2, 60)?,
        None if thousandths == 0 && !text.contains('.') => 0,
        None => return Err(wrong()),
    };
    if fields.next().is_some() {
        return Err(wrong());
    }
    Ok(((hours * 60 + minutes) * 60 + seconds) * 1000 + thousandths)
}

impl Times {
    fn schedule(&self, random_end_ms: u32) -> ScheduleConfig {
        ScheduleConfig {
            pre_open_ms: self.pre_open,
            opening_auction_ms: self.opening_auction,
            trading_ms: self.trading,
            closing_auction_ms: self.closing_auction,
            closed_ms: self.closed,
            random_end_ms,
        }
    }
}

impl AuctionCommand {
    pub fn request(&self) -> Result<Command, Fatal> {
        Ok(match self {
            Self::StartAuction {
                symbol,
                auction,
                duration_ms,
                random_end_ms,
                next_state,
            } => Command::StartAuction(StartAuction {
                symbol: symbol.clone(),
                auction: match auction {
                    AuctionName::Opening => Auction::Opening,
                    AuctionName::Volatility => Auction::Volatility,
                    AuctionName::Closing => Auction::Closing,
                },
                duration_ms: *duration_ms,
                random_end_ms: *random_end_ms,
                next_state: next_state.map(|state| match state {
                    NextStateName::Trading => NextState::Trading,
                    NextStateName::Closed => NextState::Closed,
                }),
            }),
            Self::SetSchedule {
                symbol,
                times,
                random_end_ms,
                none,
            } => {
                let schedule = times.schedule(*random_end_ms);
                // No time at all is a schedule too, but one that must be said.
                if !none && times.schedule(0) == ScheduleConfig::default() {
                    let what = "set-schedule: give a time, or --none";
                    return Err(Fatal::new(ExitCode::Usage, what));
                }
                Command::SetSchedule(SetSchedule {
                    symbol: symbol.clone(),
                    schedule,
                })
            }
            Self::SetReferencePrice { symbol, price } => {
                Command::SetReferencePrice(SetReferencePrice {
                    symbol: symbol.clone(),
                    price: *price,
                })
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_day_are_milliseconds() {
        let good = [
            ("00:00", 0),
            ("09:30", 34_200_000),
            ("09:30:01", 34_201_000),
            ("23:59:59.999", 86_399_999),
            ("24:00", 86_400_000),
        ];
        for (text, wanted) in good {
            assert_eq!(parse_time(text), Ok(wanted), "{text}");
        }
        for text in [
            "",
            "9:30",
            "09:60",
            "48:00",
            "09:30:60",
            "09:30.5",
            "09:30:00.5",
            "09:30:00.1234",
            "09:30:00:00",
            "+9:30",
            "09",
            "09:30.",
            "-1:00",
        ] {
            assert!(parse_time(text).is_err(), "{text}");
        }
    }
}
