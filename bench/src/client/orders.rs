//! One session's orders, as the venue's answers tell them.
//!
//! Every answer must fit what was answered before: shares executed and cancelled never exceed what was
//! accepted, numbers are never accepted twice, ended orders stay silent. An answer that does not fit is
//! the venue's bug and a typed error here. Memory: live orders up to `orders_max`, and ended ones too
//! if they are to be remembered.

use lockstep_record::{MatchNumber, OrderReference, Price, Side};
use lockstep_wire::ouch::Outbound;
use serde::Serialize;
use std::collections::HashMap;
use thiserror::Error;

/// An order as its session numbers it: OUCH's UserRefNum and, if used, UserRefIdx.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct OrderId {
    pub index: u8,
    pub user_ref: u32,
}

impl OrderId {
    pub const fn new(user_ref: u32) -> Self {
        Self { index: 0, user_ref }
    }
}

/// What is known of one order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Order {
    pub side: Side,
    pub symbol: [u8; 8],
    pub price: Price,
    /// Shares acknowledged by Accepted or Replaced.
    pub quantity: u32,
    pub executed: u32,
    pub canceled: u32,
    /// Shares open: `quantity - executed - canceled`, 0 once ended.
    pub open: u32,
    /// Time in force IOC: never rests.
    pub is_immediate: bool,
    pub order_reference: OrderReference,
}

/// Why shares are no longer open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cause {
    Executed {
        price: Price,
        match_number: MatchNumber,
        liquidity: u8,
    },
    /// Canceled, with the wire's letter.
    Canceled(u8),
    /// Modified to fewer shares.
    Modified,
}

/// What an answer changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    Opened {
        id: OrderId,
        order: Order,
    },
    /// `before` is gone, `order` took its place.
    Replaced {
        original: OrderId,
        before: Order,
        id: OrderId,
        order: Order,
    },
    Reduced {
        id: OrderId,
        /// After the reduction.
        order: Order,
        by: u32,
        cause: Cause,
    },
    /// A new price without a new order (PriorityUpdate).
    Repriced {
        id: OrderId,
        before: Order,
        order: Order,
    },
    /// The order was refused, or accepted and ended at once.
    Refused {
        id: OrderId,
        /// OUCH reason; `None` for an order accepted dead.
        reason: Option<u16>,
    },
    /// Nothing about an order's shares.
    None,
}

/// An answer that cannot follow what was answered before.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum AccountError {
    #[error("{what} for order {id:?}, which the venue has not accepted or has ended")]
    UnknownOrder { what: &'static str, id: OrderId },
    #[error("order {id:?} was accepted twice")]
    AcceptedTwice { id: OrderId },
    #[error("{what} of {quantity} shares for order {id:?}, of which {open} are open")]
    MoreThanOpen {
        what: &'static str,
        id: OrderId,
        quantity: u32,
        open: u32,
    },
    #[error("order {id:?} has side `{side}`", side = char::from(*.side))]
    Side { id: OrderId, side: u8 },
    #[error("more than {orders_max} orders to remember; raise the client's `orders_max`")]
    Full { orders_max: usize },
}

/// Sums over all answers of a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Tally {
    pub accepted: u64,
    pub replaced: u64,
    pub canceled: u64,
    pub executed: u64,
    pub rejected: u64,
    pub other: u64,
    pub shares_accepted: u64,
    pub shares_executed: u64,
    pub shares_canceled: u64,
}

/// The orders of one session.
#[derive(Debug)]
pub struct Orders {
    orders: HashMap<OrderId, Order>,
    orders_max: usize,
    remembers_ended: bool,
    tally: Tally,
}

impl Orders {
    /// Live orders only: what a trading client needs.
    pub fn new(orders_max: usize) -> Self {
        Self {
            orders: HashMap::new(),
            orders_max,
            remembers_ended: false,
            tally: Tally::default(),
        }
    }

    /// Ended orders too: what a crash test needs.
    pub fn remembering_ended(orders_max: usize) -> Self {
        Self {
            remembers_ended: true,
            ..Self::new(orders_max)
        }
    }

    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    pub fn get(&self, id: OrderId) -> Option<&Order> {
        self.orders.get(&id)
    }

    /// In no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&OrderId, &Order)> {
        self.orders.iter()
    }

    pub fn live_count(&self) -> usize {
        self.orders.values().filter(|order| order.open > 0).count()
    }

    /// Takes one answer.
    pub fn handle_answer(&mut self, answer: &Outbound<'_>) -> Result<Change, AccountError> {
        let index = answer.appendage().user_ref_idx();
        let id = |user_ref| OrderId { index, user_ref };
        match answer {
            Outbound::Accepted(accepted) => self.accept(id(accepted.user_ref_num()), answer),
            Outbound::Replaced(replaced) => {
                let original = id(replaced.original_user_ref_num());
                self.replace(original, id(replaced.user_ref_num()), answer)
            }
            Outbound::Executed(executed) => {
                self.tally.executed += 1;
                self.tally.shares_executed += u64::from(executed.quantity());
                let cause = Cause::Executed {
                    price: executed.price(),
                    match_number: executed.match_number(),
                    liquidity: executed.liquidity(),
                };
                self.reduce(id(executed.user_ref_num()), executed.quantity(), cause)
            }
            Outbound::Canceled(canceled) => {
                let cause = Cause::Canceled(canceled.reason());
                self.cancel(id(canceled.user_ref_num()), canceled.quantity(), cause)
            }
            Outbound::SelfMatchCanceled(canceled) => {
                let cause = Cause::Canceled(canceled.reason());
                self.cancel(id(canceled.user_ref_num()), canceled.decrement(), cause)
            }
            Outbound::Modified(modified) => self.modify(
                id(modified.user_ref_num()),
                modified.quantity(),
                modified.side(),
            ),
            Outbound::PriorityUpdate(update) => {
                self.reprice(id(update.user_ref_num()), update.price())
            }
            Outbound::Rejected(rejected) => {
                self.tally.rejected += 1;
                Ok(Change::Refused {
                    id: id(rejected.user_ref_num()),
                    reason: Some(rejected.reason()),
                })
            }
            _ => {
                self.tally.other += 1;
                Ok(Change::None)
            }
        }
    }

    fn accept(&mut self, id: OrderId, answer: &Outbound<'_>) -> Result<Change, AccountError> {
        self.tally.accepted += 1;
        let Some((order, is_live)) = order_of(answer, id)? else {
            return Ok(Change::None);
        };
        self.tally.shares_accepted += u64::from(order.quantity);
        self.insert(id, order, is_live)?;
        Ok(if is_live {
            Change::Opened { id, order }
        } else {
            Change::Refused { id, reason: None }
        })
    }

    fn replace(
        &mut self,
        original: OrderId,
        id: OrderId,
        answer: &Outbound<'_>,
    ) -> Result<Change, AccountError> {
        self.tally.replaced += 1;
        let before = *self.open_order("a replace", original)?;
        let Some((order, is_live)) = order_of(answer, id)? else {
            return Ok(Change::None);
        };
        self.end(original);
        self.insert(id, order, is_live)?;
        let order = if is_live {
            order
        } else {
            Order { open: 0, ..order }
        };
        Ok(Change::Replaced {
            original,
            before,
            id,
            order,
        })
    }

    fn cancel(&mut self, id: OrderId, quantity: u32, cause: Cause) -> Result<Change, AccountError> {
        self.tally.canceled += 1;
        self.tally.shares_canceled += u64::from(quantity);
        self.reduce(id, quantity, cause)
    }

    fn modify(&mut self, id: OrderId, open: u32, side: u8) -> Result<Change, AccountError> {
        self.tally.other += 1;
        let held = self.open_order("a modify", id)?.open;
        if open > held {
            return Err(AccountError::MoreThanOpen {
                what: "a modify",
                id,
                quantity: open,
                open: held,
            });
        }
        if side_of(side).is_none() {
            return Err(AccountError::Side { id, side });
        }
        self.reduce(id, held - open, Cause::Modified)
    }

    fn reprice(&mut self, id: OrderId, price: Price) -> Result<Change, AccountError> {
        self.tally.other += 1;
        let order = self.open_order("a priority update", id)?;
        let before = *order;
        order.price = price;
        let order = *order;
        Ok(Change::Repriced { id, before, order })
    }

    fn reduce(&mut self, id: OrderId, quantity: u32, cause: Cause) -> Result<Change, AccountError> {
        let what = match cause {
            Cause::Executed { .. } => "an execution",
            Cause::Canceled(_) => "a cancel",
            Cause::Modified => "a modify",
        };
        let order = self.open_order(what, id)?;
        let Some(open) = order.open.checked_sub(quantity) else {
            return Err(AccountError::MoreThanOpen {
                what,
                id,
                quantity,
                open: order.open,
            });
        };
        order.open = open;
        match cause {
            Cause::Executed { .. } => order.executed += quantity,
            Cause::Canceled(_) | Cause::Modified => order.canceled += quantity,
        }
        let order = *order;
        if open == 0 {
            self.end(id);
        }
        Ok(Change::Reduced {
            id,
            order,
            by: quantity,
            cause,
        })
    }

    fn open_order(&mut self, what: &'static str, id: OrderId) -> Result<&mut Order, AccountError> {
        let order = self.orders.get_mut(&id).filter(|order| order.open > 0);
        order.ok_or(AccountError::UnknownOrder { what, id })
    }

    fn insert(&mut self, id: OrderId, order: Order, is_live: bool) -> Result<(), AccountError> {
        if self.orders.contains_key(&id) {
            return Err(AccountError::AcceptedTwice { id });
        }
        if self.orders.len() >= self.orders_max {
            let orders_max = self.orders_max;
            return Err(AccountError::Full { orders_max });
        }
        if is_live {
            self.orders.insert(id, order);
        } else if self.remembers_ended {
            self.orders.insert(id, Order { open: 0, ..order });
        }
        Ok(())
    }

    fn end(&mut self, id: OrderId) {
        if !self.remembers_ended {
            self.orders.remove(&id);
        } else if let Some(order) = self.orders.get_mut(&id) {
            order.open = 0;
        }
    }
}

/// The order that Accepted or Replaced describes, and whether it lives.
fn order_of(answer: &Outbound<'_>, id: OrderId) -> Result<Option<(Order, bool)>, AccountError> {
    macro_rules! order {
        ($message:expr) => {{
            let side = $message.side();
            let quantity = $message.quantity();
            let order = Order {
                side: side_of(side).ok_or(AccountError::Side { id, side })?,
                symbol: $message.symbol(),
                price: $message.price(),
                quantity,
                executed: 0,
                canceled: 0,
                open: quantity,
                is_immediate: $message.time_in_force() == b'3',
                order_reference: $message.order_reference(),
            };
            Ok(Some((order, $message.state() == b'L' && quantity > 0)))
        }};
    }
    match answer {
        Outbound::Accepted(message) => order!(message),
        Outbound::Replaced(message) => order!(message),
        _ => Ok(None),
    }
}

const fn side_of(letter: u8) -> Option<Side> {
    match letter {
        b'B' => Some(Side::Buy),
        b'S' | b'T' | b'E' => Some(Side::Sell),
        _ => None,
    }
}

#[cfg(test)]
#[path = "orders_tests.rs"]
mod tests;
