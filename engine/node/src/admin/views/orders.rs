//! A session's live orders, page by page.

use super::super::desk::{Inquiries, PAGE_ENTRIES};
use super::super::protocol::{ORDERS_MAX, OrderCursor, OrderView, OrdersView, Problem, ShowOrders};
use super::{letter, not_found, text, timed_out};
use lockstep_core::inspect;
use lockstep_record::event::UserRef;
use lockstep_record::{OrderReference, SessionId};

/// Questions that one `show_orders` may put: bounds what a session that trades fast can cost.
const ORDER_PAGES_MAX: u32 = 512;

/// One page of a session's orders: those above a reference, from an order or from the oldest on.
#[derive(Debug)]
struct OrdersPage {
    defined: bool,
    orders: Vec<inspect::OrderView>,
    /// The last one looked at, shown or not.
    at: Option<(UserRef, OrderReference)>,
    /// Nothing stands behind it.
    end: bool,
}

fn orders_page(
    inquiries: &Inquiries,
    session: SessionId,
    at: Option<UserRef>,
    above: OrderReference,
) -> Result<OrdersPage, Problem> {
    let page = OrdersPage {
        defined: false,
        orders: Vec::with_capacity(PAGE_ENTRIES),
        at: None,
        end: false,
    };
    let answer = inquiries.ask(page, move |machine, page| {
        page.defined = machine.session(session).is_some();
        let mut seen = 0;
        // The order it stood at may have gone meanwhile: from the oldest, what was shown is passed over.
        for order in machine.open_orders_behind(session, at) {
            page.at = Some((order.user_ref, order.reference));
            if order.reference > above {
                page.orders.push(order);
            }
            seen += 1;
            if seen == PAGE_ENTRIES {
                return;
            }
        }
        page.end = true;
    });
    answer.ok_or_else(timed_out)
}

pub fn orders(inquiries: &Inquiries, asked: &ShowOrders) -> Result<OrdersView, Problem> {
    let count = asked.count.clamp(1, ORDERS_MAX) as usize;
    let session = SessionId(asked.session);
    let start = asked.after.unwrap_or_default();
    let mut above = OrderReference(start.reference);
    let mut at = asked.after.map(|after| UserRef {
        number: after.user_ref,
        index: after.user_ref_index,
    });
    let mut orders: Vec<inspect::OrderView> = Vec::new();
    let mut end = false;
    for _ in 0..ORDER_PAGES_MAX {
        let page = orders_page(inquiries, session, at, above)?;
        if !page.defined {
            return Err(not_found(format!("no session {}", asked.session)));
        }
        orders.extend(page.orders);
        above = orders.last().map_or(above, |o| o.reference);
        at = page.at.map(|(user_ref, _)| user_ref).or(at);
        end = page.end;
        if end || orders.len() >= count {
            break;
        }
    }
    if !end && orders.is_empty() {
        // Its orders come and go faster than they can be passed over.
        return Err(timed_out());
    }
    let more = !end || orders.len() > count;
    orders.truncate(count);
    let next = orders.last().filter(|_| more).map(|last| OrderCursor {
        user_ref: last.user_ref.number,
        user_ref_index: last.user_ref.index,
        reference: last.reference.0,
    });
    Ok(OrdersView {
        orders: orders.iter().map(order_view).collect(),
        next,
    })
}

fn order_view(order: &inspect::OrderView) -> OrderView {
    OrderView {
        user_ref: order.user_ref.number,
        user_ref_index: order.user_ref.index,
        reference: order.reference.0,
        instrument: order.instrument.0,
        side: letter(order.side),
        price: order.price.0,
        open: order.open,
        shown: order.shown,
        executed: order.executed,
        time_in_force: letter(order.time_in_force),
        display: letter(order.display),
        cross_type: letter(order.cross_type),
        trigger: order.trigger.map(|price| price.0),
        firm: order.firm.0,
        client_order_id: text(&order.client_order_id),
        deadline: order.deadline.0,
    }
}
