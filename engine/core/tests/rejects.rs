//! Order entry's checks, one row each, in their order: a row breaks one thing, and a second test breaks
//! two neighbours at once and demands the earlier reason.

mod common;

use common::*;
use lockstep_record::event::RejectReason;
use lockstep_record::{PartTag, Policy};

type Break = fn(&mut Command);

fn body(command: &mut Command) -> &mut lockstep_record::command::EnterOrder {
    match &mut command.request {
        Request::EnterOrder(body) => body,
        other => panic!("not an order: {other:?}"),
    }
}

fn add(command: &mut Command, tag: PartTag, value: impl AsRef<[u8]>) {
    *command = command.clone().option(tag, value);
}

/// Name, reason, what breaks it. The order is the checks' own.
const ROWS: &[(&str, u16, Break)] = &[
    ("closed instrument", 0x02, |c| body(c).symbol = *b"CLOSED  "),
    ("session's entry disabled", 0x0F, |c| c.session = 3),
    ("unknown option to reject", 0x0F, |c| {
        c.parts.push((210, Policy::Reject, vec![1]))
    }),
    ("option of the wrong width", 0x0F, |c| {
        add(c, PartTag::MIN_QUANTITY, [1, 0])
    }),
    ("repeated option", 0x0F, |c| {
        add(c, PartTag::TRADE_NOW, "N");
        add(c, PartTag::TRADE_NOW, "N");
    }),
    ("side as an option of an entry", 0x0F, |c| {
        add(c, PartTag::SIDE, "B")
    }),
    ("stop kind that nobody knows", 0x0F, |c| {
        add(c, PartTag::STOP_KIND, "X")
    }),
    ("firm not authorized", 0x0C, |c| {
        add(c, PartTag::FIRM, "NONE")
    }),
    ("unknown symbol", 0x17, |c| body(c).symbol = *b"ZZZZ    "),
    ("halted", 0x07, |c| body(c).symbol = *b"HALTED  "),
    ("side", 0x09, |c| body(c).side = b'X'),
    ("quantity zero", 0x13, |c| body(c).quantity = 0),
    ("quantity too large", 0x13, |c| body(c).quantity = 1_000_000),
    ("quantity off lot", 0x13, |c| body(c).quantity = 15),
    ("time in force", 0x0F, |c| body(c).time_in_force = b'5'),
    ("day order with an expiry", 0x0F, |c| {
        add(c, PartTag::EXPIRE_TIME, 9u32.to_le_bytes())
    }),
    ("two expiries", 0x0F, |c| {
        body(c).time_in_force = b'6';
        add(c, PartTag::EXPIRE_TIME, 9u32.to_le_bytes());
        add(c, PartTag::EXPIRE_DATE_TIME, u64::MAX.to_le_bytes());
    }),
    ("expiry of a day and more", 0x0F, |c| {
        body(c).time_in_force = b'6';
        add(c, PartTag::EXPIRE_TIME, 86_400u32.to_le_bytes());
    }),
    ("expiry that has passed", 0x0F, |c| {
        body(c).time_in_force = b'6';
        add(c, PartTag::EXPIRE_DATE_TIME, 1u64.to_le_bytes());
    }),
    ("capacity", 0x0F, |c| body(c).capacity = b'X'),
    ("cross type", 0x14, |c| body(c).cross_type = b'O'),
    ("display", 0x03, |c| body(c).display = b'Z'),
    ("max floor off lot", 0x04, |c| {
        add(c, PartTag::MAX_FLOOR, 15u32.to_le_bytes())
    }),
    ("max floor that would be displayed too often", 0x04, |c| {
        body(c).quantity = 1_010;
        add(c, PartTag::MAX_FLOOR, 10u32.to_le_bytes());
    }),
    ("max floor of a hidden order", 0x04, |c| {
        body(c).display = b'N';
        add(c, PartTag::MAX_FLOOR, 10u32.to_le_bytes());
    }),
    ("random reserves not below max floor", 0x04, |c| {
        add(c, PartTag::MAX_FLOOR, 10u32.to_le_bytes());
        add(c, PartTag::RANDOM_RESERVES, 10u32.to_le_bytes());
    }),
    ("price type that there is not", 0x05, |c| {
        add(c, PartTag::PRICE_TYPE, "Q")
    }),
    ("displayed peg", 0x11, |c| add(c, PartTag::PRICE_TYPE, "P")),
    ("peg offset of no peg", 0x11, |c| {
        add(c, PartTag::PEG_OFFSET, 5i32.to_le_bytes())
    }),
    ("peg offset off tick", 0x11, |c| {
        body(c).display = b'N';
        add(c, PartTag::PRICE_TYPE, "M");
        add(c, PartTag::PEG_OFFSET, (-4i32).to_le_bytes());
    }),
    ("route", 0x16, |c| add(c, PartTag::ROUTE, "XNYS")),
    ("intermarket sweep", 0x08, |c| {
        body(c).intermarket_sweep = b'Y'
    }),
    ("post-only and immediate", 0x0F, |c| {
        body(c).time_in_force = b'3';
        add(c, PartTag::POST_ONLY, "P");
    }),
    ("minimum quantity of a day order", 0x0D, |c| {
        add(c, PartTag::MIN_QUANTITY, 10u32.to_le_bytes());
    }),
    ("price zero", 0x1D, |c| body(c).price = 0),
    ("price off tick", 0x1D, |c| body(c).price = 10_001),
    ("price too high", 0x1D, |c| body(c).price = 1_999_999_905),
    ("post-only at the market", 0x1D, |c| {
        body(c).price = 2_000_000_000;
        add(c, PartTag::POST_ONLY, "P");
    }),
    ("price below market", 0x1D, |c| {
        body(c).price = 1_999_999_999
    }),
    ("stop without a price", 0x1D, |c| {
        add(c, PartTag::STOP_KIND, "S")
    }),
    ("stop price off tick", 0x1D, |c| {
        add(c, PartTag::STOP_PRICE, 10_001u64.to_le_bytes())
    }),
    ("stop price too high", 0x1D, |c| {
        add(c, PartTag::STOP_PRICE, 2_000_000_000u64.to_le_bytes())
    }),
    ("stop price of no stop", 0x1D, |c| {
        add(c, PartTag::STOP_KIND, "N");
        add(c, PartTag::STOP_PRICE, 10_000u64.to_le_bytes());
    }),
    ("immediate stop", 0x1D, |c| {
        body(c).time_in_force = b'3';
        add(c, PartTag::STOP_PRICE, 10_000u64.to_le_bytes());
    }),
    ("trail offset of no trailing stop", 0x1D, |c| {
        add(c, PartTag::TRAIL_OFFSET, 10i32.to_le_bytes())
    }),
    ("trailing stop from nowhere", 0x1D, |c| {
        add(c, PartTag::STOP_KIND, "T");
        add(c, PartTag::TRAIL_OFFSET, 10i32.to_le_bytes());
    }),
    ("trailing stop without an offset", 0x1D, |c| {
        add(c, PartTag::STOP_KIND, "T");
        add(c, PartTag::STOP_PRICE, 10_000u64.to_le_bytes());
    }),
    ("trail offset that is negative", 0x1D, |c| {
        add(c, PartTag::STOP_KIND, "T");
        add(c, PartTag::STOP_PRICE, 10_000u64.to_le_bytes());
        add(c, PartTag::TRAIL_OFFSET, (-10i32).to_le_bytes());
    }),
    ("trail offset off tick", 0x1D, |c| {
        add(c, PartTag::STOP_KIND, "T");
        add(c, PartTag::STOP_PRICE, 10_000u64.to_le_bytes());
        add(c, PartTag::TRAIL_OFFSET, 11i32.to_le_bytes());
    }),
    // The venue of this test is one order short of full.
    ("engine full", 0x0F, |c| body(c).user_ref_num = 3),
];

/// BBBB trades in ticks of 5 and lots of 10; session 3 may not enter; room for two orders.
fn ready() -> Driver {
    let mut driver = Driver::default();
    let mut commands = small_venue();
    commands[0] = bounds(2, 2);
    driver.tell(&commands);
    let closed = lockstep_record::command::DefineSession {
        session: 3,
        firm: 2,
        user: USERS[2],
        cancel_on_disconnect: 0,
        order_entry: 0,
        _reserved: [0; 8],
    };
    driver.tell(&[
        operator(closed),
        define_instrument(3, b"CLOSED  ", 5, 10),
        set_state(3, b'C'),
        define_instrument(4, b"HALTED  ", 5, 10),
        set_state(4, b'H'),
    ]);
    driver
}

fn good(number: u32) -> Command {
    let mut body = enter(number, b'B', 10, 10_000);
    body.symbol = *b"BBBB    ";
    command(1, 1, body)
}

fn outcome(driver: &mut Driver, command: &Command) -> Option<RejectReason> {
    let said = driver.tell(std::slice::from_ref(command));
    match &said[..] {
        [
            Said::Event {
                what: What::Rejected(rejected),
                ..
            },
        ] => {
            assert_eq!(
                rejected.client_order_id,
                enter(1, b'B', 1, 1).client_order_id
            );
            Some(rejected.reason)
        }
        [
            Said::Event {
                what: What::Accepted(_),
                ..
            },
            ..,
        ] => None,
        other => panic!("neither accepted nor rejected: {other:?}"),
    }
}

fn fill(driver: &mut Driver) {
    assert_eq!(outcome(driver, &good(1)), None);
    assert_eq!(outcome(driver, &good(2)), None);
}

#[test]
fn each_check_rejects_with_its_reason_and_consumes_the_number() {
    for (name, reason, breaks) in ROWS {
        let mut driver = ready();
        let mut command = good(3);
        breaks(&mut command);
        if *name == "engine full" {
            fill(&mut driver);
        }
        let given = outcome(&mut driver, &command);
        assert_eq!(given.map(|given| given as u16), Some(*reason), "{name}");
        assert_eq!(
            driver.tell(&[command.clone()]),
            [],
            "{name}: the number is used"
        );
        assert_eq!(
            driver.machine.open_order_count() != 0,
            *name == "engine full",
            "{name}"
        );
    }
}

#[test]
fn the_first_failing_check_decides() {
    for pair in ROWS.windows(2) {
        let [(name, reason, first), (next, _, second)] = pair else {
            unreachable!()
        };
        // Two that break the same field cannot both be broken.
        let mut command = good(3);
        second(&mut command);
        let only_second = command.clone();
        first(&mut command);
        let mut only_first = good(3);
        first(&mut only_first);
        let repeats = |command: &Command| {
            let mut tags: Vec<u16> = command.parts.iter().map(|part| part.0).collect();
            let count = tags.len();
            tags.sort_unstable();
            tags.dedup();
            tags.len() != count
        };
        let clash = repeats(&command) && !repeats(&only_first) && !repeats(&only_second);
        if clash || command == only_first || command == only_second {
            continue;
        }
        let mut driver = ready();
        if *next == "engine full" {
            fill(&mut driver);
        }
        let given = outcome(&mut driver, &command);
        assert_eq!(
            given.map(|given| given as u16),
            Some(*reason),
            "{name} before {next}"
        );
    }
}

#[test]
fn what_breaks_nothing_is_accepted() {
    let variants: &[(&str, Break)] = &[
        ("as it is", |_| {}),
        ("highest price", |c| body(c).price = 1_999_999_900),
        ("largest quantity in lots", |c| body(c).quantity = 999_990),
        ("attributable", |c| body(c).display = b'A'),
        ("capacity other", |c| body(c).capacity = b'O'),
        ("own firm by name", |c| add(c, PartTag::FIRM, "ACME")),
        ("permitted firm", |c| add(c, PartTag::FIRM, "BEST")),
        ("blank firm", |c| add(c, PartTag::FIRM, "    ")),
        ("unassigned option to ignore", |c| {
            c.parts.push((99, Policy::Ignore, vec![1, 2, 3]))
        }),
        ("options at their defaults", |c| {
            add(c, PartTag::MAX_FLOOR, [0; 4]);
            add(c, PartTag::PRICE_TYPE, "L");
            add(c, PartTag::POST_ONLY, "N");
            add(c, PartTag::EXPIRE_TIME, [0; 4]);
            add(c, PartTag::MIN_QUANTITY, [0; 4]);
        }),
        ("hidden", |c| body(c).display = b'N'),
        ("a display size", |c| {
            add(c, PartTag::MAX_FLOOR, 10u32.to_le_bytes())
        }),
        ("good till a time", |c| {
            body(c).time_in_force = b'6';
            add(c, PartTag::EXPIRE_TIME, 86_399u32.to_le_bytes());
        }),
        ("good till a date", |c| {
            body(c).time_in_force = b'6';
            add(c, PartTag::EXPIRE_DATE_TIME, u64::MAX.to_le_bytes());
        }),
        ("a stop", |c| {
            add(c, PartTag::STOP_PRICE, 10_000u64.to_le_bytes())
        }),
        ("a trailing stop", |c| {
            add(c, PartTag::STOP_KIND, "T");
            add(c, PartTag::STOP_PRICE, 10_000u64.to_le_bytes());
            add(c, PartTag::TRAIL_OFFSET, 10i32.to_le_bytes());
        }),
        ("a stop that is none", |c| {
            add(c, PartTag::STOP_KIND, "N");
            add(c, PartTag::STOP_PRICE, [0; 8]);
            add(c, PartTag::TRAIL_OFFSET, [0; 4]);
        }),
        ("a peg", |c| {
            body(c).display = b'N';
            add(c, PartTag::PRICE_TYPE, "M");
            add(c, PartTag::PEG_OFFSET, (-5i32).to_le_bytes());
        }),
        ("post-only", |c| add(c, PartTag::POST_ONLY, "P")),
        ("market", |c| body(c).price = 2_000_000_000),
    ];
    for (name, change) in variants {
        let mut command = good(3);
        change(&mut command);
        assert_eq!(outcome(&mut ready(), &command), None, "{name}");
    }
}

/// Orders that cannot rest take nothing that a bound counts.
#[test]
fn a_full_engine_still_trades_what_does_not_rest() {
    let mut driver = ready();
    fill(&mut driver);
    let mut sell = good(3);
    body(&mut sell).side = b'S';
    body(&mut sell).time_in_force = b'3';
    assert_eq!(outcome(&mut driver, &sell), None);
    assert_eq!(driver.machine.open_order_count(), 1);
}

#[test]
fn a_full_ladder_takes_orders_at_the_prices_it_has() {
    let mut driver = Driver::default();
    let mut commands = small_venue();
    commands[0] = bounds(10, 1);
    driver.tell(&commands);
    let at = |number, price| {
        let mut order = good(number);
        body(&mut order).price = price;
        order
    };
    assert_eq!(outcome(&mut driver, &at(1, 10_000)), None);
    assert_eq!(
        outcome(&mut driver, &at(2, 10_005)),
        Some(RejectReason::Other)
    );
    assert_eq!(outcome(&mut driver, &at(3, 10_000)), None);
    // The original shares its level with another order: no level is freed for the new price.
    let said = driver.tell(&[command(1, 1, replace(3, 4, 10, 10_005))]);
    assert_eq!(said[0].to_string(), "1: rejected #4 0x0F");
    // Alone on its level, it takes the level along.
    driver.tell(&[command(1, 1, cancel(1, 0))]);
    let said = driver.tell(&[command(1, 1, replace(3, 5, 10, 10_005))]);
    assert_eq!(
        said[0].to_string(),
        "1: replaced #3 by #5 B 10 BBBB @10005 tif 0 ref 3"
    );
}
