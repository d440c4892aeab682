//! The machine and the naive venue, told the same records in the same batches and compared after each.

use super::flow::allocated;
use super::oracle::Oracle;
use super::oracle::fault::Fault;
use super::*;
use lockstep_core::inspect;

/// Open orders and price levels; a stream has one of these, so that each bound is reached by some.
pub const BOUNDS: [(u32, u32); 2] = [(28, 40), (200, 15)];

/// At least as many records as the machine looks ahead.
const LOOK_AHEAD: usize = 16;

/// What a stream did, so that a test can demand that it did something.
#[derive(Default, Debug)]
pub struct Done {
    pub commands: usize,
    pub events: usize,
    pub live_max: usize,
    /// Auctions that traded, and orders that a collar stopped.
    pub uncrossed: usize,
    pub stopped: usize,
    pub reloads: usize,
    /// Stops that were triggered, and of these the second and later ones of one record.
    pub triggered: usize,
    pub chained: usize,
    /// Prices at which more than one order gave its share.
    pub rounds: usize,
    /// Prices that pegged orders took when the quote changed.
    pub pegged: usize,
    /// Records that came while something was due that their own batch had made due.
    pub before_due: usize,
    /// Days that opened with records of the same batch before and behind.
    pub opened_inside: usize,
    /// Records of the batches that were longer than any step of the machine's look ahead.
    pub in_long_batches: usize,
}

impl Done {
    pub fn add(&mut self, one: &Self) {
        self.commands += one.commands;
        self.events += one.events;
        self.live_max = self.live_max.max(one.live_max);
        self.uncrossed += one.uncrossed;
        self.stopped += one.stopped;
        self.reloads += one.reloads;
        self.triggered += one.triggered;
        self.chained += one.chained;
        self.rounds += one.rounds;
        self.pegged += one.pegged;
        self.before_due += one.before_due;
        self.opened_inside += one.opened_inside;
        self.in_long_batches += one.in_long_batches;
    }

    /// What the machine said because of one record, or of a batch's time.
    fn count(&mut self, said: &[Said]) {
        self.events += said.len();
        let mut triggered = 0usize;
        for said in said {
            match said {
                Said::Control(Control::Uncrossed { .. }) => self.uncrossed += 1,
                Said::Event { what, .. } => match what {
                    What::Canceled(canceled) if canceled.reason == CancelReason::MarketCollar => {
                        self.stopped += 1;
                    }
                    What::PriorityUpdate(_) => triggered += 1,
                    _ => {}
                },
                Said::Control(_) => {}
            }
        }
        self.triggered += triggered;
        self.chained += triggered.saturating_sub(1);
    }
}

pub struct Pair {
    pub driver: Driver,
    pub oracle: Oracle,
    pub done: Done,
    /// The open batch, and what the naive venue says at its begin and of each of its records.
    batch: Vec<Command>,
    wanted: Vec<Vec<Said>>,
}

impl Pair {
    /// `allocation` 7 and above: price-time.
    pub fn new(fault: Fault, (orders_max, levels_max): (u32, u32), allocation: u16) -> Self {
        let mut pair = Self {
            driver: Driver::default(),
            oracle: Oracle::new(fault),
            done: Done::default(),
            batch: Vec::new(),
            wanted: Vec::new(),
        };
        for mut command in small_venue() {
            if let Request::SetBounds(bounds) = &mut command.request {
                (bounds.open_orders_max, bounds.price_levels_max) = (orders_max, levels_max);
            }
            if matches!(command.request, Request::DefineInstrument(_)) {
                command = allocated(command, allocation.min(7));
            }
            pair.tell(&command).unwrap();
        }
        if orders_max == BOUNDS[0].0 {
            pair.tell(&risk_bounds(4, 8, 2)).unwrap();
            let grace = SetGrace { grace: 2_000_000 };
            pair.tell(&operator(grace)).unwrap();
            let mut leaves = define_session(3, 2, &USERS[2]);
            if let Request::DefineSession(body) = &mut leaves.request {
                body.cancel_on_disconnect = 1;
            }
            pair.tell(&leaves).unwrap();
        }
        pair.done = Done::default();
        pair
    }

    /// One command as a batch of its own.
    pub fn tell(&mut self, command: &Command) -> Result<(), String> {
        self.begin_batch();
        self.add(command);
        self.end_batch()
    }

    /// Opens a batch, one ns after the last. The naive venue is told at once, so that the next command can be
    /// made for what is there; the machine when the batch is closed.
    pub fn begin_batch(&mut self) {
        let begin = self.oracle.begin_batch(self.driver.timestamp + 1);
        self.wanted.push(begin);
    }

    pub fn add(&mut self, command: &Command) {
        let now = self.oracle.now();
        let is_due = self.oracle.next_deadline().is_some_and(|at| at <= now);
        self.done.before_due += usize::from(is_due);
        self.wanted.push(self.oracle.tell_next(command));
        self.batch.push(command.clone());
        self.done.live_max = self.done.live_max.max(self.oracle.live());
    }

    /// Tells the machine the open batch and compares what it says of each record.
    pub fn end_batch(&mut self) -> Result<(), String> {
        let commands = std::mem::take(&mut self.batch);
        let mut wanted = std::mem::take(&mut self.wanted);
        wanted.last_mut().unwrap().extend(self.oracle.end_batch());
        let said = self.driver.tell_each(&commands)?;
        assert_eq!(said.len(), wanted.len());
        for (at, (said, wanted)) in said.iter().zip(&wanted).enumerate() {
            if said != wanted {
                let whose = match at.checked_sub(1) {
                    None => format!("begin of a batch of {}", commands.len()),
                    Some(at) => format!("{at} of {}: {:?}", commands.len(), commands[at]),
                };
                return Err(difference(&whose, said, wanted));
            }
            self.done.count(said);
            let opened = |said: &Said| matches!(said, Said::Control(Control::DayOpened { .. }));
            let is_inside = (2..commands.len()).contains(&at);
            self.done.opened_inside += usize::from(is_inside && said.iter().any(opened));
        }
        self.done.commands += commands.len();
        if commands.len() > LOOK_AHEAD {
            self.done.in_long_batches += commands.len();
        }
        (self.done.rounds, self.done.pegged) = (self.oracle.rounds, self.oracle.pegged);
        Ok(())
    }

    pub fn term_start(&mut self) -> Result<(), String> {
        let said = self.driver.term_start();
        let wanted = self.oracle.term_start(self.driver.timestamp);
        if said != wanted {
            return Err(difference("term start", &said, &wanted));
        }
        Ok(())
    }

    /// A snapshot's image is taken and the stream goes on with the state that is loaded from it.
    pub fn reload(&mut self) -> Result<(), String> {
        self.done.reloads += 1;
        self.driver.reload()
    }

    pub fn compare_books(&self) -> Result<(), String> {
        let machine = &self.driver.machine;
        let view = |p: inspect::PositionView| {
            let shares = [p.bought, p.sold, p.open_buy, p.open_sell].map(i128::from);
            let [bought, sold, bids, asks] = shares;
            (
                (p.firm.0, p.instrument.0),
                [p.net, bought, sold, bids, asks],
            )
        };
        let positions: Vec<_> = machine.positions().map(view).collect();
        let wanted = self.oracle.positions();
        if positions != wanted {
            return Err(format!("machine: {positions:?}\noracle: {wanted:?}"));
        }
        for instrument in 1..=3u32 {
            let id = InstrumentId(instrument);
            self.compare_phase(id)?;
            for side in [Side::Buy, Side::Sell] {
                let view = |o: inspect::OrderView| {
                    let (number, channel) = (o.user_ref.number, o.user_ref.index);
                    (
                        o.session.0,
                        number,
                        channel,
                        o.price.0,
                        (o.open, o.shown),
                        o.executed,
                        o.reference.0,
                    )
                };
                let orders: Vec<_> = machine.book_orders(id, side).map(view).collect();
                let wanted = self.oracle.side(instrument, side == Side::Buy);
                if orders != wanted {
                    return Err(format!(
                        "{id} {side:?}\nmachine: {orders:?}\noracle: {wanted:?}"
                    ));
                }
                let depth: u64 = machine.depth(id, side).map(|level| level.quantity).sum();
                let displayed = machine
                    .book_orders(id, side)
                    .filter(|order| order.display != b'N' && order.cross_type == b'N')
                    .filter(|order| order.price.0 < 2_000_000_000);
                let open: u64 = displayed.map(|order| u64::from(order.shown)).sum();
                if depth != open {
                    return Err(format!("{id} {side:?}: depth {depth}, orders {open}"));
                }
            }
        }
        Ok(())
    }
}

impl Pair {
    /// State, a day's prices, what an auction would do, and what happens next by itself.
    fn compare_phase(&self, id: InstrumentId) -> Result<(), String> {
        let machine = &self.driver.machine;
        let view = machine.instruments().find(|view| view.instrument == id);
        let state = view.map(|view| view.state as u8);
        if state != self.oracle.state(id.0) {
            return Err(format!("{id}: {state:?}, {:?}", self.oracle.state(id.0)));
        }
        let Some(state) = state else { return Ok(()) };
        let (prices, wanted) = (machine.statistics(id), self.oracle.prices(id.0));
        if prices != wanted {
            return Err(format!("{id}\nmachine: {prices:?}\noracle: {wanted:?}"));
        }
        let outcome = machine.auction(id).and_then(|auction| auction.outcome);
        let outcome = outcome.map(|o| (o.price.0, o.quantity, o.imbalance, o.imbalance_side));
        let accumulates = b"POVL".contains(&state);
        let wanted = self.oracle.outcome(id.0, state).filter(|_| accumulates);
        if outcome != wanted {
            return Err(format!("{id} auction: {outcome:?}, oracle {wanted:?}"));
        }
        let (next, wanted) = (machine.next_deadline(), self.oracle.next_deadline());
        if next.map(|time| time.0) != wanted {
            return Err(format!("next deadline {next:?}, oracle {wanted:?}"));
        }
        Ok(())
    }
}

/// The first line on which they differ, with what came before it.
fn difference(whose: &str, said: &[Said], wanted: &[Said]) -> String {
    let same = said
        .iter()
        .zip(wanted)
        .take_while(|(said, wanted)| said == wanted)
        .count();
    let before: Vec<String> = said[..same].iter().map(ToString::to_string).collect();
    let (said, wanted) = (said.get(same), wanted.get(same));
    format!("{whose}\nboth: {before:#?}\nmachine: {said:?}\noracle: {wanted:?}")
}
