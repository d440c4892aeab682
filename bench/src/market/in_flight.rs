//! One request of the replay that waits for its answers, and what it takes for one.

use super::expected::{Fill, OrderKey, Role};
use super::plan::{Action, Comparison, Request};
use crate::client::orders::{Cause, Change, OrderId};
use lockstep_record::{MatchNumber, Price};

/// What an answer is to the request that waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Heard {
    /// It is one of the answers that must come.
    Fits,
    /// The venue refuses; `None`: accepted dead.
    Refused(Option<u16>),
    /// Nothing asked for it.
    Stranger,
}

/// One end of an execution.
#[derive(Clone, Copy, Debug)]
struct HalfTrade {
    match_number: MatchNumber,
    key: OrderKey,
    quantity: u32,
    price: Price,
}

#[derive(Debug)]
pub(super) struct InFlight {
    pub request: Request,
    /// Comparisons due once it is answered.
    pub comparisons: Vec<Comparison>,
    /// Shares executed and cancelled so far, of an aggressor; else 1 once answered.
    settled: u32,
    takers: Vec<HalfTrade>,
    makers: Vec<HalfTrade>,
}

impl InFlight {
    pub fn new(request: Request) -> Self {
        Self {
            request,
            comparisons: Vec::new(),
            settled: 0,
            takers: Vec::new(),
            makers: Vec::new(),
        }
    }

    /// Takes a change of an order of session `role`.
    pub fn handle_change(&mut self, role: Role, change: &Change) -> Heard {
        let key = self.request.key;
        let is_own = |id: &OrderId| role == key.role && *id == OrderId::new(key.user_ref);
        let action = self.request.action;
        match change {
            Change::None => Heard::Fits,
            Change::Refused { id, reason } if is_own(id) => {
                self.settled = u32::MAX;
                Heard::Refused(*reason)
            }
            Change::Opened { id, order } if is_own(id) => {
                let Action::Enter {
                    side,
                    quantity,
                    price,
                    immediate,
                } = action
                else {
                    return Heard::Stranger;
                };
                if (order.side, order.quantity, order.price.0) != (side, quantity, price) {
                    return Heard::Stranger;
                }
                self.settled += u32::from(!immediate);
                Heard::Fits
            }
            Change::Reduced { id, by, cause, .. } => {
                let user_ref = id.user_ref;
                self.handle_reduction(OrderKey { role, user_ref }, is_own(id), *by, *cause)
            }
            _ => Heard::Stranger,
        }
    }

    fn handle_reduction(&mut self, key: OrderKey, is_own: bool, by: u32, cause: Cause) -> Heard {
        let is_aggressor = self.is_aggressor();
        match (cause, self.request.action) {
            (
                Cause::Executed {
                    price,
                    match_number,
                    ..
                },
                _,
            ) if is_aggressor => {
                let half = HalfTrade {
                    match_number,
                    key,
                    quantity: by,
                    price,
                };
                if is_own {
                    self.takers.push(half);
                    self.settled += by;
                } else {
                    self.makers.push(half);
                }
                Heard::Fits
            }
            // What an aggressor could not trade. The fills tell what is wrong with that.
            (Cause::Canceled(_), _) if is_aggressor && is_own => {
                self.settled += by;
                Heard::Fits
            }
            (Cause::Canceled(_), Action::Cancel { removes, .. }) if is_own && by == removes => {
                self.settled = 1;
                Heard::Fits
            }
            _ => Heard::Stranger,
        }
    }

    /// Every answer that must come has come: of an aggressor, both ends of every execution.
    pub fn is_answered(&self) -> bool {
        match self.request.action {
            Action::Enter {
                quantity,
                immediate: true,
                ..
            } => self.settled >= quantity && self.takers.len() == self.makers.len(),
            _ => self.settled > 0,
        }
    }

    pub fn is_aggressor(&self) -> bool {
        matches!(
            self.request.action,
            Action::Enter {
                immediate: true,
                ..
            }
        )
    }

    /// The orders that an aggressor hit, in order, and whether both ends of each execution agree with
    /// each other and with its price.
    pub fn take_fills(&mut self) -> (Vec<Fill>, bool) {
        let at_price = match self.request.action {
            Action::Enter { price, .. } => Price(price),
            Action::Cancel { .. } => Price(0),
        };
        self.makers.sort_unstable_by_key(|half| half.match_number);
        self.takers.sort_unstable_by_key(|half| half.match_number);
        let are_paired = self.makers.iter().zip(&self.takers).all(|(maker, taker)| {
            (maker.match_number, maker.quantity) == (taker.match_number, taker.quantity)
                && (maker.price, taker.price) == (at_price, at_price)
        });
        let fill = |half: HalfTrade| Fill {
            key: half.key,
            quantity: half.quantity,
        };
        (self.makers.drain(..).map(fill).collect(), are_paired)
    }
}
