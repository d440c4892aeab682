//! Random commands: mostly sensible, some illegal in one field, some stale, some nonsense. A step is drawn
//! by proptest as plain numbers (so that it shrinks), and made a command here, where the oracle's state
//! tells which orders and numbers are there to be hit.

use super::oracle::Oracle;
use super::*;
use proptest::prelude::*;

/// Raw choices of one step.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    pub what: u16,
    pub session: u8,
    pub pick: u16,
    pub side: u8,
    pub quantity: u16,
    pub price: u8,
    pub twist: u16,
    pub twist_value: u32,
}

prop_compose! {
    pub fn step()(
        what in 0..1040u16,
        session in 0..3u8,
        pick in any::<u16>(),
        side in 0..8u8,
        quantity in 0..60u16,
        price in 0..24u8,
        twist in 0..400u16,
        twist_value in any::<u32>(),
    ) -> Step {
        Step { what, session, pick, side, quantity, price, twist, twist_value }
    }
}

const SIDES: [u8; 8] = *b"BBBBSSTE";

/// Which of the rarer kinds of orders a stream has: all, or one kind often.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mix {
    All,
    Stops,
    Auctions,
    Shares,
    Pegs,
}

impl Step {
    /// The command of this step, given what is there.
    pub fn command(&self, oracle: &Oracle) -> Command {
        self.command_of(oracle, Mix::All)
    }

    pub fn command_of(&self, oracle: &Oracle, mix: Mix) -> Command {
        let session = u32::from(self.session) + 1;
        let user = USERS[usize::from(self.session)];
        let epoch = oracle.epoch(session);
        let live = oracle.live_numbers(session);
        let picked = (!live.is_empty()).then(|| live[usize::from(self.pick) % live.len()]);
        let target = picked.unwrap_or(UserRef {
            number: u32::from(self.pick) % 50,
            index: 0,
        });
        let command = match self.what {
            _ if mix == Mix::Auctions && self.what % 12 == 11 => self.phase(oracle),
            1000..=1032 if matches!(mix, Mix::Stops | Mix::Shares | Mix::Pegs) => {
                self.special(self.enter(session, epoch, oracle), mix)
            }
            0..=549 => self.special(self.enter(session, epoch, oracle), mix),
            550..=719 => self.special(self.replace(session, epoch, target, oracle), mix),
            720..=839 => {
                let total = if self.side < 4 {
                    0
                } else {
                    u32::from(self.quantity)
                };
                with_channel(
                    command(session, epoch, cancel(target.number, total)),
                    target.index,
                )
            }
            840..=919 => {
                let side = SIDES[usize::from(self.side)];
                let body = modify(target.number, side, u32::from(self.quantity));
                with_channel(command(session, epoch, body), target.index)
            }
            920..=934 => {
                let query = command(session, epoch, AccountQuery { _reserved: 0 });
                with_channel(query, self.channel())
            }
            935..=950 => self.numbered(session, epoch, oracle),
            951..=974 => login(session, &user, u64::from(self.price / 8)),
            975..=976 => command(session, epoch, Logout { connection: 0 }),
            977..=978 => {
                let reason = self.side;
                command(
                    session,
                    epoch,
                    Disconnect {
                        connection: 0,
                        reason,
                        _reserved: [0; 7],
                    },
                )
            }
            979..=986 => self.protect(oracle),
            987..=999 => self.operate(),
            _ => self.phase(oracle),
        };
        self.twisted(command)
    }

    fn channel(&self) -> u8 {
        [0, 0, 0, 0, 1, 7, 255, 0][usize::from(self.pick) % 8]
    }

    /// Usually the next number, sometimes a sparse one, sometimes an old one.
    fn number(&self, oracle: &Oracle, session: u32, channel: u8) -> u32 {
        let last = oracle.last_number(session, channel);
        match self.twist % 40 {
            0 => last,
            1 => last.saturating_sub(2),
            2 => last.saturating_add(1_000),
            _ => last.saturating_add(1),
        }
    }

    /// Bids mostly below asks, so that a book builds up.
    fn price(&self, symbol: &[u8; 8]) -> u64 {
        let ticks = 1_000 + u64::from(self.price) + if self.side < 4 { 0 } else { 12 };
        if symbol == b"BBBB    " {
            ticks * 5
        } else {
            ticks * 100
        }
    }

    fn enter(&self, session: u32, epoch: u32, oracle: &Oracle) -> Command {
        let channel = self.channel();
        let side = SIDES[usize::from(self.side)];
        let symbol = if self.pick.is_multiple_of(5) {
            *b"BBBB    "
        } else {
            *b"AAAA    "
        };
        let lot = if symbol == *b"BBBB    " { 10 } else { 1 };
        let quantity = (u32::from(self.quantity) + 1) * lot;
        let number = self.number(oracle, session, channel);
        let mut body = enter(number, side, quantity, self.price(&symbol));
        body.symbol = symbol;
        let mut minimum = None;
        match self.twist % 16 {
            0 => body.time_in_force = b'3',
            1 => {
                body.time_in_force = b'3';
                minimum = Some(quantity);
            }
            2 => {
                body.time_in_force = b'3';
                minimum = Some(quantity / 2 / lot * lot);
            }
            3 => body.price = 2_147_483_647,
            4 => body.display = b'A',
            13 => {
                // Often what the instrument's state takes.
                let instrument = if symbol == *b"BBBB    " { 2 } else { 1 };
                body.cross_type = match oracle.state(instrument) {
                    Some(b'P' | b'O') => b"OOC"[usize::from(self.pick / 64 % 3)],
                    Some(b'V') => b"HHC"[usize::from(self.pick / 64 % 3)],
                    _ => b"CCCOH"[usize::from(self.pick / 64 % 5)],
                };
                if self.pick.is_multiple_of(3) {
                    body.price = 2_000_000_000;
                }
            }
            5 | 6 => body.display = b'N',
            7..=9 => body.time_in_force = b'6',
            _ => {}
        }
        let mut command = with_channel(command(session, epoch, body), channel);
        if let Some(minimum) = minimum {
            command = command.option(PartTag::MIN_QUANTITY, minimum.to_le_bytes());
        }
        if body.time_in_force == b'6' {
            let soon = oracle.now() + u64::from(self.pick) * 100_000;
            command = match self.pick % 3 {
                0 => command.option(PartTag::EXPIRE_TIME, u32::from(self.pick % 7).to_le_bytes()),
                _ => command.option(PartTag::EXPIRE_DATE_TIME, soon.to_le_bytes()),
            };
        }
        if (10..=12).contains(&(self.twist % 16)) {
            let floor = quantity / lot / 4 * lot;
            command = command.option(PartTag::MAX_FLOOR, floor.to_le_bytes());
            if self.twist_value.is_multiple_of(2) {
                let random = floor / lot / 2 * lot;
                command = command.option(PartTag::RANDOM_RESERVES, random.to_le_bytes());
            }
        }
        match self.pick % 32 {
            0 => command.option(PartTag::FIRM, "BEST"),
            1 => command.option(PartTag::GROUP_ID, 5u16.to_le_bytes()),
            2 => command.option(PartTag::CUSTOMER_TYPE, "R"),
            3 => command.option(PartTag::TRADE_NOW, "Y"),
            4 => command.option(PartTag::LOCATE_BROKER, "LOCA"),
            5 | 6 => command.option(PartTag::POST_ONLY, "P"),
            7..=12 => {
                let mode = [b"NOBDN"[usize::from(self.pick / 32 % 5)]];
                command.option(PartTag::SELF_TRADE_PREVENTION, mode)
            }
            _ => command,
        }
    }

    /// A share of the orders and replacements are of a rarer kind.
    fn special(&self, command: Command, mix: Mix) -> Command {
        let draw = self.twist_value >> 16;
        match (mix, draw % 16) {
            (Mix::All | Mix::Auctions, 0..=1) | (Mix::Stops, 0..=5) => {
                self.stop(command, draw / 16)
            }
            (Mix::All, 3..=4) | (Mix::Pegs, 0..=6) => self.peg(command, draw / 16),
            (Mix::All, 2) | (Mix::Shares, 0..=11) => at_few_prices(command, draw / 16),
            _ => command,
        }
    }

    /// Mostly as it must be: hidden and for the day; one in eight keeps what it was.
    fn peg(&self, mut command: Command, draw: u32) -> Command {
        let tick = match &mut command.request {
            Request::EnterOrder(body) => {
                if !draw.is_multiple_of(8) {
                    (body.display, body.time_in_force) = (b'N', b'0');
                    command
                        .parts
                        .retain(|part| ![3, 5, 12, 15, 204].contains(&part.0));
                }
                if body.symbol == *b"BBBB    " { 5 } else { 100 }
            }
            Request::ReplaceOrder(body) => {
                body.display = b'N';
                if (draw / 8).is_multiple_of(2) {
                    return command;
                }
                100
            }
            _ => return command,
        };
        let offset = ((draw / 16 % 8) as i32 - 4).min(1) * tick;
        let kind = b"RRPPMMmQ"[(draw / 128 % 8) as usize];
        command
            .option(PartTag::PRICE_TYPE, [kind])
            .option(PartTag::PEG_OFFSET, offset.to_le_bytes())
    }

    /// Triggers lie around the prices at which trades happen; one in four trails.
    fn stop(&self, command: Command, draw: u32) -> Command {
        let (symbol, replaces) = match &command.request {
            Request::EnterOrder(body) => (body.symbol, false),
            _ => (*b"AAAA    ", true),
        };
        let tick = if symbol == *b"BBBB    " { 5 } else { 100 };
        let price = u64::from(1_000 + draw / 16 % 40) * tick;
        let offset = (draw / 16 % 6) as i32 * tick as i32;
        let price = |command: Command| command.option(PartTag::STOP_PRICE, price.to_le_bytes());
        let trail = |command: Command| {
            command
                .option(PartTag::STOP_KIND, "T")
                .option(PartTag::TRAIL_OFFSET, offset.to_le_bytes())
        };
        match draw % 16 {
            0..=2 => trail(command),
            3 => price(trail(command)),
            4 => price(command.option(PartTag::STOP_KIND, "S")),
            5 if replaces => command.option(PartTag::STOP_KIND, "N"),
            6 => price(command.option(PartTag::STOP_KIND, [draw as u8])),
            _ => price(command),
        }
    }

    fn replace(&self, session: u32, epoch: u32, target: UserRef, oracle: &Oracle) -> Command {
        let number = self.number(oracle, session, target.index);
        let symbol = if self.pick.is_multiple_of(5) {
            *b"BBBB    "
        } else {
            *b"AAAA    "
        };
        let total = if self.side < 2 {
            10 * u32::from(self.quantity)
        } else {
            40
        };
        let mut body = replace(target.number, number, total, self.price(&symbol));
        match self.twist % 16 {
            0 => body.time_in_force = b'3',
            1 => body.price = 2_147_483_647,
            2..=4 => body.time_in_force = b'6',
            5 => body.display = b'N',
            _ => {}
        }
        let command = with_channel(command(session, epoch, body), target.index);
        match self.pick % 16 {
            0 => command.option(PartTag::SIDE, [SIDES[usize::from(self.side)]]),
            1 => command.option(PartTag::GROUP_ID, 6u16.to_le_bytes()),
            2 => command.option(PartTag::CUSTOMER_TYPE, "N"),
            3 => command.option(PartTag::MIN_QUANTITY, 5u32.to_le_bytes()),
            4 => command.option(
                PartTag::POST_ONLY,
                if self.side.is_multiple_of(2) {
                    "P"
                } else {
                    "N"
                },
            ),
            5 => command.option(
                PartTag::SELF_TRADE_PREVENTION,
                [b"NOBD"[usize::from(self.side % 4)]],
            ),
            _ => command,
        }
    }

    fn numbered(&self, session: u32, epoch: u32, oracle: &Oracle) -> Command {
        let channel = self.channel();
        let user_ref_num = self.number(oracle, session, channel);
        let firm = [*b"    ", *b"BEST", *b"ACME", *b"    "][usize::from(self.price % 4)];
        let symbol = [*b"        ", *b"AAAA    ", *b"BBBB    ", *b"ZZZZ    "];
        let symbol = symbol[usize::from(self.quantity % 7 / 2)];
        let request: Request = match self.side % 4 {
            0 | 1 => MassCancel {
                user_ref_num,
                firm,
                symbol,
            }
            .into(),
            2 => DisableEntry { user_ref_num, firm }.into(),
            _ => EnableEntry { user_ref_num, firm }.into(),
        };
        let command = with_channel(command(session, epoch, request), channel);
        match self.pick % 8 {
            0 => command.option(PartTag::SIDE, [SIDES[usize::from(self.pick / 8 % 8)]]),
            1 => command.option(PartTag::GROUP_ID, (self.pick / 8 % 3 * 5).to_le_bytes()),
            2 => command.option(PartTag::SIDE, [self.side]),
            _ => command,
        }
    }

    fn operate(&self) -> Command {
        let instrument = u32::from(self.side % 4);
        match self.pick % 48 {
            0..=2 => set_state(instrument, b"TTTTTTHC"[usize::from(self.side)]),
            3..=4 => close_day(),
            5..=28 => {
                let date = 20_250_101 + u32::from(self.quantity) * 7 + u32::from(self.price);
                let seed = u64::from(self.twist_value).to_le_bytes();
                open_day(date).option(PartTag::RANDOM_SEED, seed)
            }
            29 => define_session(
                u32::from(self.side % 5),
                u32::from(self.price % 4),
                &USERS[usize::from(self.session)],
            )
            .option(
                PartTag::PERMITTED_FIRM,
                u32::from(self.price % 3).to_le_bytes(),
            ),
            30 => operator(DefineSession {
                session: u32::from(self.session) + 1,
                firm: 1,
                user: USERS[usize::from(self.session)],
                cancel_on_disconnect: self.side % 2,
                order_entry: u8::from(!self.price.is_multiple_of(8)),
                _reserved: [0; 8],
            }),
            31..=33 => {
                let tick_size = 50 << (self.price % 3);
                allocated(
                    define_instrument(instrument, b"AAAA    ", tick_size, 1),
                    self.quantity,
                )
            }
            34..=36 => allocated(
                define_instrument(instrument, b"BBBB    ", 5, u32::from(self.price % 3) * 10),
                self.quantity,
            ),
            37..=39 => define_firm(
                u32::from(self.side),
                [b"ACME", b"BEST", b"CORP"][usize::from(self.session)],
            ),
            40..=42 => bounds(28 + u32::from(self.price == 0), 40),
            _ => define_instrument(3, b"CCCC    ", 1, 1),
        }
    }

    /// What changes trading states: commands, schedules, definitions of collars and auctions.
    fn phase(&self, oracle: &Oracle) -> Command {
        let instrument = u32::from(self.side % 3);
        let now_ms = (oracle.now() / 1_000_000) as u32;
        let random_end_ms = u32::from(self.quantity % 3) * 2;
        match self.pick % 16 {
            0..=5 => set_state(
                instrument,
                b"TTTTPPOHVLTC"[usize::from(self.pick / 16 % 12)],
            ),
            6..=8 => {
                let state = b"OVLVLT"[usize::from(self.pick / 16 % 6)];
                start_auction(
                    instrument,
                    state,
                    u32::from(self.quantity % 9),
                    random_end_ms,
                )
            }
            9..=10 => {
                let mut time = now_ms.saturating_sub(u32::from(self.price % 8));
                let mut times = [0; 5];
                for (at, slot) in times.iter_mut().enumerate() {
                    time += u32::from(self.pick >> (at * 2 + 4) & 3) * 3 + 1;
                    if self.twist_value >> at & 3 != 0 {
                        *slot = time;
                    }
                }
                set_schedule(instrument, times, random_end_ms)
            }
            11..=12 => {
                let price = 100_000 + u64::from(self.price) * 100;
                let price = if instrument == 2 { price / 20 } else { price };
                set_reference(
                    instrument,
                    price * u64::from(!(self.pick / 16).is_multiple_of(4)),
                )
            }
            _ => self.define_auctions(instrument),
        }
    }

    fn define_auctions(&self, instrument: u32) -> Command {
        let command = match instrument {
            1 => define_instrument(1, b"AAAA    ", 100, 1),
            _ => define_instrument(2, b"BBBB    ", 5, 10),
        };
        let mut parts = vec![
            (PartTag::STATIC_COLLAR, u32::from(self.price % 4) * 40),
            (PartTag::DYNAMIC_COLLAR, u32::from(self.price / 4 % 4) * 30),
            (PartTag::AUCTION_DURATION, u32::from(self.quantity % 9)),
            (PartTag::AUCTION_RANDOM_END, u32::from(self.quantity / 9)),
            (
                PartTag::INDICATION_INTERVAL,
                u32::from(self.pick / 16 % 4) * 10,
            ),
        ];
        if self.twist_value.is_multiple_of(16) {
            parts[0].1 = self.twist_value;
        }
        let command = parts.into_iter().fold(command, |command, (tag, value)| {
            command.option(tag, value.to_le_bytes())
        });
        match self.twist_value % 8 {
            0 => command,
            1 => command.option(PartTag::COLLAR_ACTION, "X"),
            2..=4 => command.option(PartTag::COLLAR_ACTION, "V"),
            _ => command.option(PartTag::COLLAR_ACTION, "R"),
        }
    }

    /// Now and then one field or option becomes whatever it likes.
    fn twisted(&self, mut command: Command) -> Command {
        let value = self.twist_value;
        let letter = value as u8;
        let policy = if value.is_multiple_of(2) {
            Policy::Reject
        } else {
            Policy::Ignore
        };
        match (self.twist, &mut command.request) {
            (0..=3, _) => command.epoch = command.epoch.wrapping_add(value % 3).wrapping_sub(1),
            (4..=9, _) => {
                let tag = [
                    1, 2, 5, 6, 7, 8, 9, 12, 13, 14, 15, 17, 18, 25, 27, 28, 30, 199, 203, 210,
                ];
                let tag = tag[value as usize % tag.len()];
                let width = [1, 2, 4, 4, 8][value as usize / 32 % 5];
                let value = u64::from(value / 256 % 3).to_le_bytes()[..width].to_vec();
                command.parts.push((tag, policy, value));
            }
            (20, Request::EnterOrder(body)) => body.side = letter,
            (21, Request::EnterOrder(body)) => body.time_in_force = letter,
            (22, Request::EnterOrder(body)) => body.display = letter,
            (23, Request::EnterOrder(body)) => body.capacity = letter,
            (24, Request::EnterOrder(body)) => body.intermarket_sweep = letter,
            (25, Request::EnterOrder(body)) => body.cross_type = letter,
            (26, Request::EnterOrder(body)) => body.quantity = value,
            (27, Request::EnterOrder(body)) => body.price = u64::from(value),
            (28, Request::EnterOrder(body)) => body.price = u64::from(value) << 31,
            (29, Request::EnterOrder(body)) => body.symbol[0] = letter,
            (30, Request::EnterOrder(body)) => body.price = 0,
            (31, Request::ReplaceOrder(body)) => body.price = u64::from(value),
            (32, Request::ReplaceOrder(body)) => body.quantity = value,
            (33, Request::ReplaceOrder(body)) => body.time_in_force = letter,
            (34, Request::ReplaceOrder(body)) => body.display = letter,
            (35, Request::ReplaceOrder(body)) => body.intermarket_sweep = letter,
            (36, Request::ModifyOrder(body)) => body.side = letter,
            (37, Request::Login(body)) => body.requested_session[9] = letter,
            (38, Request::Login(body)) => body.user[0] = letter,
            (39, Request::Login(body)) => body.requested_number = u64::from(value),
            _ => {}
        }
        command
    }
}

fn with_channel(command: Command, channel: u8) -> Command {
    if channel == 0 {
        command
    } else {
        command.option(PartTag::USER_REF_IDX, [channel])
    }
}

/// A definition of an instrument with an allocation.
pub fn allocated(definition: Command, draw: u16) -> Command {
    let with = |letter: &str| definition.clone().option(PartTag::ALLOCATION, letter);
    let minimum = |value: u32| (PartTag::ALLOCATION_MINIMUM, value.to_le_bytes());
    let percent = |value: u32| (PartTag::TOP_SHARE, value.to_le_bytes());
    let (command, (tag, value)) = match draw % 8 {
        0 => (with("P"), minimum(0)),
        1 => (with("P"), minimum(3)),
        2 => (with("P"), minimum(20)),
        3 => (with("T"), percent(30)),
        4 => (with("T"), percent(55)),
        5 => (with("T"), percent(u32::from(draw))),
        6 => (with("F"), minimum(u32::from(draw / 16))),
        _ => return definition,
    };
    command.option(tag, value)
}

/// Orders meet at few prices, and the smaller takes from several of the larger.
fn at_few_prices(mut command: Command, draw: u32) -> Command {
    if let Request::EnterOrder(body) = &mut command.request
        && body.price < 2_000_000_000
    {
        let tick = if body.symbol == *b"BBBB    " { 5 } else { 100 };
        let away = u64::from(draw % 2) * if body.side == b'B' { 0 } else { 2 };
        body.price = (1_010 + u64::from(draw / 2 % 2) + away) * tick;
    }
    command
}
