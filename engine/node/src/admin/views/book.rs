//! Price levels of a book, as deep as is asked, page by page.

use super::super::desk::Inquiries;
use super::super::protocol::{BookView, LEVELS_MAX, LevelView, Problem, ProblemCode, ShowBook};
use super::{find_instrument, lower, not_found, timed_out};
use lockstep_core::StateMachine;
use lockstep_core::inspect::{DepthView, TradingState};
use lockstep_record::{InstrumentId, Price, Side};

/// Levels of each side that one question brings.
const PAGE_LEVELS: usize = 32;
/// Orders of each side that one question walks to count them.
const PAGE_ORDERS: u32 = 512;

/// What is still wanted of a side.
#[derive(Clone, Copy)]
struct Want {
    behind: Option<Price>,
    levels: usize,
}

impl Want {
    fn page(&self) -> usize {
        self.levels.min(PAGE_LEVELS)
    }

    /// Takes a page over; nothing more is wanted once a page is empty.
    fn took(&mut self, page: &[DepthView]) {
        self.levels -= page.len();
        match page.last() {
            Some(last) => self.behind = Some(last.price),
            None => self.levels = 0,
        }
    }
}

#[derive(Default)]
struct Page {
    bids: Vec<DepthView>,
    asks: Vec<DepthView>,
    sequence: u64,
    state: Option<TradingState>,
}

fn page_of(
    inquiries: &Inquiries,
    id: InstrumentId,
    bids: Want,
    asks: Want,
) -> Result<Page, Problem> {
    let page = Page {
        bids: Vec::with_capacity(bids.page()),
        asks: Vec::with_capacity(asks.page()),
        ..Page::default()
    };
    let answer = inquiries.ask(page, move |machine: &StateMachine, page| {
        let side = |side, want: &Want| {
            let levels = machine.depth_behind(id, side, want.behind, PAGE_ORDERS);
            levels.take(want.page())
        };
        page.bids.extend(side(Side::Buy, &bids));
        page.asks.extend(side(Side::Sell, &asks));
        page.sequence = machine.last_sequence().0;
        page.state = machine.instrument(id).map(|i| i.state);
    });
    answer.ok_or_else(timed_out)
}

pub fn book(inquiries: &Inquiries, asked: &ShowBook) -> Result<BookView, Problem> {
    if !(1..=LEVELS_MAX).contains(&asked.levels) {
        let what = format!("levels: must be 1..={LEVELS_MAX}");
        return Err(Problem::new(ProblemCode::Malformed, what));
    }
    let id = find_instrument(inquiries, &asked.symbol)?;
    let want = |behind: Option<u64>| Want {
        behind: behind.map(Price),
        levels: asked.levels as usize,
    };
    let (mut bids, mut asks) = (want(asked.bids_behind), want(asked.asks_behind));
    let mut whole = Page::default();
    loop {
        let page = page_of(inquiries, id, bids, asks)?;
        bids.took(&page.bids);
        asks.took(&page.asks);
        whole.bids.extend(page.bids);
        whole.asks.extend(page.asks);
        whole.sequence = page.sequence;
        whole.state = page.state;
        if bids.levels == 0 && asks.levels == 0 {
            break;
        }
    }
    let state = whole
        .state
        .ok_or_else(|| not_found(format!("no instrument {:?}", asked.symbol)))?;
    let level = |level: &DepthView| LevelView {
        price: level.price.0,
        quantity: level.quantity,
        orders: level.order_count,
    };
    Ok(BookView {
        symbol: asked.symbol.clone(),
        state: lower(state),
        sequence: whole.sequence,
        bids: whole.bids.iter().map(level).collect(),
        asks: whole.asks.iter().map(level).collect(),
    })
}
