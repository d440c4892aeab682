//! What the state looks like, asked page by page.

use super::desk::{Inquiries, PAGE_ENTRIES, PAGE_SCAN};
use super::protocol::{
    BookView, BoundsView, DayView, FirmView, InstrumentView, LEVELS_MAX, LevelView, ORDERS_MAX,
    OrderCursor, OrderView, OrdersView, Problem, ProblemCode, SessionView, ShowBook, ShowOrders,
};
use crate::config::DayConfig;
use crate::day;
use lockstep_core::StateMachine;
use lockstep_core::inspect;
use lockstep_record::event::UserRef;
use lockstep_record::{InstrumentId, OrderReference, SessionId, Side};

/// Questions that one `show_orders` may put: bounds what a session that trades fast can cost.
const ORDER_PAGES_MAX: u32 = 512;

pub fn timed_out() -> Problem {
    let what = "the engine did not answer in time; is the node overloaded or stopping?";
    Problem::new(ProblemCode::TimedOut, what)
}

pub fn not_found(what: impl Into<String>) -> Problem {
    Problem::new(ProblemCode::NotFound, what)
}

/// Text without the padding on its right.
pub fn text(padded: &[u8]) -> String {
    let text = String::from_utf8_lossy(padded);
    text.trim_end_matches([' ', '\0']).to_owned()
}

pub fn letter(byte: u8) -> String {
    char::from(byte).to_string()
}

/// Entries of ids 1, 2, … as they were when each page was looked at.
pub fn by_id<R: Send + Copy + 'static>(
    inquiries: &Inquiries,
    ids_end: u32,
    look: fn(&StateMachine, u32) -> Option<R>,
) -> Result<Vec<R>, Problem> {
    let mut found = Vec::new();
    let mut from = 1;
    while from < ids_end {
        let page = (Vec::with_capacity(PAGE_ENTRIES), from);
        let (entries, next) = inquiries
            .ask(page, move |machine, (entries, next)| {
                let end = from.saturating_add(PAGE_SCAN).min(ids_end);
                while *next < end && entries.len() < PAGE_ENTRIES {
                    entries.extend(look(machine, *next));
                    *next += 1;
                }
            })
            .ok_or_else(timed_out)?;
        found.extend(entries);
        from = next;
    }
    Ok(found)
}

pub fn bounds(inquiries: &Inquiries) -> Result<BoundsView, Problem> {
    let bounds = inquiries.ask(None, |machine, answer| *answer = Some(machine.bounds()));
    let bounds = bounds.flatten().ok_or_else(timed_out)?;
    Ok(BoundsView {
        open_orders_max: bounds.open_orders_max,
        instruments_max: bounds.instruments_max,
        sessions_max: bounds.sessions_max,
        firms_max: bounds.firms_max,
        price_levels_max: bounds.price_levels_max,
    })
}

pub fn day_view(day: &inspect::DayView, config: &DayConfig) -> DayView {
    let closes_at = day
        .open
        .then(|| day::venue_day(config, day.midnight).and_then(|d| d.close_ns))
        .flatten();
    DayView {
        open: day.open,
        date: day.date,
        midnight: day.midnight,
        session_name: text(&day.session_name).trim_start().to_owned(),
        opening: format!("{:?}", config.opening).to_lowercase(),
        closes_at,
    }
}

pub fn day(inquiries: &Inquiries, config: &DayConfig) -> Result<DayView, Problem> {
    let day = inquiries.ask(None, |machine, answer| *answer = Some(machine.day()));
    Ok(day_view(&day.flatten().ok_or_else(timed_out)?, config))
}

pub fn firms(inquiries: &Inquiries) -> Result<Vec<FirmView>, Problem> {
    let end = bounds(inquiries)?.firms_max.saturating_add(1);
    let firms = by_id(inquiries, end, |machine, id| machine.firm_of(id))?;
    let view = |firm: &inspect::FirmView| FirmView {
        id: firm.firm.0,
        code: text(&firm.code),
        entry: lower(firm.entry),
    };
    Ok(firms.iter().map(view).collect())
}

/// Firms that a session may enter orders for beside its own.
const PERMITTED_MAX: usize = 16;

type SessionEntry = (inspect::SessionView, [u32; PERMITTED_MAX], usize);

fn session_entry(machine: &StateMachine, id: u32) -> Option<SessionEntry> {
    let session = machine.session(SessionId(id))?;
    let mut permitted = [0; PERMITTED_MAX];
    let mut count = 0;
    for (to, firm) in permitted
        .iter_mut()
        .zip(machine.session_permitted_firms(SessionId(id)))
    {
        *to = firm.0;
        count += 1;
    }
    Some((session, permitted, count))
}

pub fn sessions(inquiries: &Inquiries) -> Result<Vec<SessionView>, Problem> {
    let end = bounds(inquiries)?.sessions_max.saturating_add(1);
    let sessions = by_id(inquiries, end, session_entry)?;
    let view = |(session, permitted, count): &SessionEntry| SessionView {
        id: session.session.0,
        user: text(&session.user),
        firm: session.firm.0,
        permitted_firms: permitted[..*count].to_vec(),
        connected: session.connected,
        epoch: session.epoch.0,
        next_outbound: session.next_outbound.0,
        open_orders: session.open_orders,
        order_entry: session.order_entry,
        entry: lower(session.entry),
        cancel_on_disconnect: session.cancel_on_disconnect,
    };
    Ok(sessions.iter().map(view).collect())
}

pub fn instruments(inquiries: &Inquiries) -> Result<Vec<InstrumentView>, Problem> {
    let end = bounds(inquiries)?.instruments_max.saturating_add(1);
    let look = |machine: &StateMachine, id| machine.instrument(InstrumentId(id));
    let instruments = by_id(inquiries, end, look)?;
    let view = |instrument: &inspect::InstrumentView| InstrumentView {
        id: instrument.instrument.0,
        symbol: text(&instrument.symbol),
        tick_size: instrument.tick_size,
        lot_size: instrument.lot_size,
        state: lower(instrument.state),
    };
    Ok(instruments.iter().map(view).collect())
}

/// A state's name as the protocol has it.
fn lower(state: impl std::fmt::Debug) -> String {
    let mut name = String::new();
    for letter in format!("{state:?}").chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

/// A symbol as the state knows it.
pub fn symbol(name: &str) -> Result<[u8; 8], Problem> {
    let unknown = || not_found(format!("no instrument {name:?}"));
    let mut symbol = [b' '; 8];
    let field = symbol.get_mut(..name.len()).ok_or_else(unknown)?;
    field.copy_from_slice(name.as_bytes());
    Ok(symbol)
}

/// The instrument of a symbol.
pub fn find_instrument(
    inquiries: &Inquiries,
    name: &str,
) -> Result<inspect::InstrumentView, Problem> {
    let symbol = symbol(name)?;
    let found = inquiries.ask(None, move |machine, answer| {
        let id = machine.find_instrument(symbol);
        *answer = id.and_then(|id| machine.instrument(id));
    });
    let found = found.ok_or_else(timed_out)?;
    found.ok_or_else(|| not_found(format!("no instrument {name:?}")))
}

pub fn book(inquiries: &Inquiries, asked: &ShowBook) -> Result<BookView, Problem> {
    if !(1..=LEVELS_MAX).contains(&asked.levels) {
        let what = format!("levels: must be 1..={LEVELS_MAX}");
        return Err(Problem::new(ProblemCode::Malformed, what));
    }
    let instrument = find_instrument(inquiries, &asked.symbol)?;
    let id = instrument.instrument;
    let levels = asked.levels as usize;
    let side = || Vec::with_capacity(levels);
    let look = move |machine: &StateMachine,
                     (bids, asks, sequence, state): &mut (
        Vec<inspect::LevelView>,
        Vec<inspect::LevelView>,
        u64,
        Option<inspect::TradingState>,
    )| {
        bids.extend(machine.depth(id, Side::Buy).take(levels));
        asks.extend(machine.depth(id, Side::Sell).take(levels));
        *sequence = machine.last_sequence().0;
        *state = machine.instrument(id).map(|i| i.state);
    };
    let answer = inquiries.ask((side(), side(), 0, None), look);
    let (bids, asks, sequence, state) = answer.ok_or_else(timed_out)?;
    let level = |level: &inspect::LevelView| LevelView {
        price: level.price.0,
        quantity: level.quantity,
        orders: level.order_count,
    };
    Ok(BookView {
        symbol: asked.symbol.clone(),
        state: lower(state.unwrap_or(instrument.state)),
        sequence,
        bids: bids.iter().map(level).collect(),
        asks: asks.iter().map(level).collect(),
    })
}

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
        firm: order.firm.0,
        client_order_id: text(&order.client_order_id),
        deadline: order.deadline.0,
    }
}
