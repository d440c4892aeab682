//! The plain OUCH requests that this crate sends, with the fields that never vary filled in.

use lockstep_record::{Price, Side};
use lockstep_wire::ouch::Appendage;
use lockstep_wire::ouch::inbound::{AccountQuery, CancelOrder, EnterOrder, ReplaceOrder};

/// Longest request written here.
pub const REQUEST_LENGTH_MAX: usize = EnterOrder::FIXED_LENGTH;

/// Symbol as on the wire, padded right with spaces; `None` unless it has 1 to 8 letters or digits.
pub fn symbol(text: &str) -> Option<[u8; 8]> {
    let legal = (1..=8).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    let mut field = [b' '; 8];
    if legal {
        field[..text.len()].copy_from_slice(text.as_bytes());
    }
    legal.then_some(field)
}

/// Terms of a limit order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LimitOrder {
    pub user_ref: u32,
    pub side: Side,
    pub quantity: u32,
    pub symbol: [u8; 8],
    pub price: Price,
    /// Immediate or cancel instead of day.
    pub is_immediate: bool,
}

/// Writes `O`; returns its length, 47.
pub fn encode_enter(order: &LimitOrder, out: &mut [u8]) -> usize {
    let message = EnterOrder {
        user_ref_num: order.user_ref,
        side: match order.side {
            Side::Buy => b'B',
            Side::Sell => b'S',
        },
        quantity: order.quantity,
        symbol: order.symbol,
        price: order.price,
        time_in_force: if order.is_immediate { b'3' } else { b'0' },
        display: b'Y',
        capacity: b'P',
        intermarket_sweep: b'N',
        cross_type: b'N',
        client_order_id: [b' '; 14],
    };
    message.encode(Appendage::EMPTY, out)
}

/// Writes `X`; returns its length, 9. `new_total`: of the chain, executed shares included; 0 cancels
/// all that is open.
pub fn encode_cancel(user_ref: u32, new_total: u32, out: &mut [u8]) -> usize {
    let message = CancelOrder {
        user_ref_num: user_ref,
        quantity: new_total,
    };
    message.encode(Appendage::ABSENT, out)
}

/// Writes `U` of a day order; returns its length, 40. `total`: of the chain, executed shares included.
pub fn encode_replace(
    original: u32,
    user_ref: u32,
    total: u32,
    price: Price,
    out: &mut [u8],
) -> usize {
    let message = ReplaceOrder {
        original_user_ref_num: original,
        user_ref_num: user_ref,
        quantity: total,
        price,
        time_in_force: b'0',
        display: b'Y',
        intermarket_sweep: b'N',
        client_order_id: [b' '; 14],
    };
    message.encode(Appendage::EMPTY, out)
}

/// Writes `Q`; returns its length, 1.
pub fn encode_account_query(out: &mut [u8]) -> usize {
    AccountQuery {}.encode(Appendage::ABSENT, out)
}
