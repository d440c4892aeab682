//! Clients that send and do not read: bids far below the market, entered and cancelled, whose answers pile up
//! until they are read. They never trade, so that the market's accounts stay the market's.

use crate::venue::VenueFolder;
use lockstep_bench::client::connection::SendError;
use lockstep_bench::client::request::symbol;
use lockstep_bench::client::trader::{Trader, TraderLimits};
use lockstep_bench::client::traders::{NewOrder, RequestError, Traders};
use lockstep_bench::random::Random;
use lockstep_net::{AnyDriver, DriverKind, Limits};
use lockstep_record::{Price, Side};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Orders sent in one go, each entered and mostly cancelled.
const BURST_MAX: u64 = 400;
/// Requests that may be unanswered before a burst is left out.
const UNANSWERED_MAX: usize = 8_000;
/// Far below any price of the flow.
const PRICE: u64 = 10_000;

pub struct SlowReaders {
    traders: Traders<AnyDriver>,
    symbol: [u8; 8],
    behind_max: usize,
}

impl SlowReaders {
    /// Traders of `count` sessions from `first` on.
    pub fn new(folder: &VenueFolder, first: u32, count: u32) -> Self {
        let limits = Limits {
            connections_max: count * 4,
            ..Limits::default()
        };
        let driver = AnyDriver::new(DriverKind::Epoll, &limits).expect("driver");
        let mut traders = Traders::new(driver, TraderLimits::default(), true);
        for session in first..first + count {
            traders.add(folder.login(session, 1).expect("login"));
        }
        Self {
            traders,
            symbol: symbol(&folder.plan.symbols[0]).expect("a symbol"),
            behind_max: 0,
        }
    }

    pub fn traders(&self) -> &[Trader] {
        self.traders.traders()
    }

    /// Most requests that were unanswered when reading began.
    pub fn fell_behind_max(&self) -> usize {
        self.behind_max
    }

    /// Requests whose answers have not been read.
    pub fn unanswered(&self) -> u64 {
        self.traders.unanswered_count() as u64
    }

    pub fn connect(&mut self, address: SocketAddr, at_most: Duration) {
        self.traders.connect(address).expect("sockets");
        self.wait("logged in", at_most, |traders| traders.are_ready());
    }

    pub fn reconnect(&mut self, address: SocketAddr) {
        self.traders.connect(address).expect("sockets");
    }

    pub fn cut(&mut self, trader: usize, at_most: Duration) {
        self.traders.cut_one(trader);
        self.wait("cut", at_most, |traders| traders.is_down(trader));
    }

    /// Sends a burst and reads nothing.
    pub fn send(&mut self, random: &mut Random) {
        for trader in 0..self.traders.traders().len() {
            if self.traders.unanswered_count() > UNANSWERED_MAX {
                return;
            }
            for _ in 0..random.below(BURST_MAX) {
                let order = NewOrder {
                    side: Side::Buy,
                    quantity: 1 + random.below(500) as u32,
                    symbol: self.symbol,
                    price: Price(PRICE + 100 * random.below(50)),
                    is_immediate: false,
                };
                let entered = self.traders.enter(trader, &order);
                let cancelled = match entered {
                    Ok(user_ref) if random.chance(950) => self.traders.cancel(trader, user_ref, 0),
                    Ok(_) => Ok(()),
                    Err(error) => Err(error),
                };
                match cancelled {
                    Ok(()) => {}
                    // Cut, or the socket is full: as slow as can be.
                    Err(RequestError::NotReady { .. })
                    | Err(RequestError::Send(
                        SendError::Full { .. } | SendError::NotLoggedIn { .. },
                    )) => break,
                    Err(error) => panic!("{error}"),
                }
            }
        }
        self.traders.flush();
        self.behind_max = self.behind_max.max(self.traders.unanswered_count());
    }

    /// Reads for a while.
    pub fn read(&mut self, duration: Duration) {
        let until = Instant::now() + duration;
        while Instant::now() < until {
            self.poll();
        }
    }

    pub fn settle(&mut self, at_most: Duration) {
        self.wait("back", at_most, |traders| traders.are_ready());
        for trader in 0..self.traders.traders().len() {
            let until = Instant::now() + at_most;
            // A burst that the venue has not taken yet fills the send buffer: read on, then ask.
            loop {
                match self.traders.settle(trader) {
                    Err(RequestError::Send(SendError::Full { .. })) if Instant::now() < until => {
                        self.poll();
                    }
                    other => break other.expect("a ready session"),
                }
            }
        }
        self.wait("answered", at_most, |traders| {
            traders.unanswered_count() == 0
        });
    }

    /// The whole day again from number 1: messages remembered, and told again the same.
    pub fn hear_again(&mut self, address: SocketAddr, at_most: Duration) -> (u64, u64) {
        let (remembered, before) = self.sums();
        self.traders.cut();
        self.wait_down(at_most);
        self.traders.rewind();
        self.connect(address, at_most);
        let heard = |traders: &Traders<AnyDriver>| {
            let verified: u64 = traders.traders().iter().map(|t| t.verified_count()).sum();
            verified - before
        };
        self.wait("told again", at_most, |traders| {
            heard(traders) >= remembered
        });
        self.settle(at_most);
        (remembered, heard(&self.traders))
    }

    fn sums(&self) -> (u64, u64) {
        self.traders
            .traders()
            .iter()
            .fold((0, 0), |(count, same), t| {
                (count + t.memory().count(), same + t.verified_count())
            })
    }

    pub fn begin_day(&mut self) -> usize {
        self.traders.begin_day()
    }

    pub fn log_out(&mut self, at_most: Duration) {
        self.traders.log_out();
        self.wait_down(at_most);
    }

    pub fn wait_down(&mut self, at_most: Duration) {
        self.wait("down", at_most, Traders::are_down);
    }

    fn poll(&mut self) {
        let work = self.traders.poll(&mut |_, _| {});
        if work.expect("the venue tells nothing that cannot be") == 0 {
            self.traders.wait(Duration::from_millis(1));
        }
    }

    fn described(&self) -> String {
        let one = |trader: &Trader| {
            let (phase, end) = (trader.phase(), trader.last_end());
            let (unanswered, heard) = (trader.outbox().len(), trader.memory().count());
            format!("{phase:?}, {unanswered} unanswered, {heard} heard, last end {end:?}; ")
        };
        self.traders().iter().map(one).collect()
    }

    #[track_caller]
    fn wait(&mut self, what: &str, at_most: Duration, done: impl Fn(&Traders<AnyDriver>) -> bool) {
        let until = Instant::now() + at_most;
        while !done(&self.traders) {
            assert!(
                Instant::now() < until,
                "slow readers were not {what} in time: {}",
                self.described()
            );
            self.poll();
        }
    }
}
