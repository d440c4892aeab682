//! Days and connections.

mod common;

use common::*;
use lockstep_record::command::*;
use lockstep_record::event::*;
use lockstep_record::*;

fn accepted(said: &[Said]) -> (u32, u64, u64) {
    match said.last() {
        Some(Said::Control(Control::LoginAccepted {
            epoch,
            first_number,
            next_number,
            ..
        })) => (epoch.0, first_number.0, next_number.0),
        other => panic!("not accepted: {other:?}"),
    }
}

fn rejected(said: &[Said]) -> LoginRejectReason {
    match said {
        [Said::Control(Control::LoginRejected { reason, .. })] => *reason,
        other => panic!("not rejected: {other:?}"),
    }
}

#[test]
fn a_day_begins_and_ends_on_every_stream() {
    let mut driver = venue();
    driver.tell(&[
        command(1, 1, enter(1, b'B', 5, 10_000)),
        command(2, 1, enter(1, b'S', 7, 10_200)),
        command(1, 1, enter(2, b'B', 5, 10_100)),
        command(3, 1, enter(1, b'B', 5, 10_100)),
    ]);
    let said = driver.tell(&[close_day()]);
    // Bids then asks, best price first, then first come; then the end on every stream; then the control.
    assert_eq!(
        lines(&said)[..7],
        [
            "1: canceled #2 5 E",
            "3: canceled #1 5 E",
            "1: canceled #1 5 E",
            "2: canceled #1 7 E",
            "1: system E",
            "2: system E",
            "3: system E",
        ]
    );
    assert_eq!(
        said[7],
        Said::Control(Control::DayClosed {
            session_name: *b"     DAY01"
        })
    );
    assert_eq!(numbers(&said, 1), [4, 5, 6]);
    // The streams are over: what still arrives from the old connections is stale.
    let stale = driver.machine.counters().stale;
    assert_eq!(driver.tell(&[command(1, 1, enter(3, b'B', 5, 10_000))]), []);
    assert_eq!(driver.machine.counters().stale, stale + 1);
    assert_eq!(
        rejected(&driver.tell(&[login(1, &USERS[0], 0)])),
        LoginRejectReason::SessionNotAvailable
    );
    // L10: who names the day that is over may read its stream, and is no connection of the session's.
    let mut named = login(1, &USERS[0], 2);
    let Request::Login(body) = &mut named.request else {
        unreachable!("a login was made");
    };
    body.requested_session = *b"DAY01     ";
    let mut beyond = named.clone();
    let Request::Login(body) = &mut beyond.request else {
        unreachable!("a login was made");
    };
    body.requested_number = 8;
    let said = driver.tell(&[named]);
    assert_eq!(accepted(&said), (1, 2, 7));
    assert!(!driver.machine.session(SessionId(1)).unwrap().connected);
    assert_eq!(driver.tell(&[command(1, 1, enter(3, b'B', 5, 10_000))]), []);
    assert_eq!(
        rejected(&driver.tell(&[beyond])),
        LoginRejectReason::SessionNotAvailable
    );
    // A new day: numbers begin again, references and match numbers do not.
    let said = driver.tell(&[open_day(20_250_102), login(1, &USERS[0], 1)]);
    assert_eq!(
        lines(&said)[1..4],
        ["1: system S", "2: system S", "3: system S"]
    );
    assert_eq!(numbers(&said, 1), [1]);
    assert_eq!(accepted(&said), (2, 1, 2));
    let said = driver.tell(&[command(1, 2, enter(1, b'B', 5, 10_000))]);
    assert_eq!(lines(&said), ["1: accepted #1 B 5 AAAA @10000 tif 0 ref 5"]);
}

#[test]
fn a_day_opens_once_forward_and_after_its_midnight() {
    let mut driver = venue();
    let refused = |driver: &mut Driver, command: Command| {
        let before = driver.machine.counters().refused;
        assert_eq!(driver.tell(&[command]), []);
        assert_eq!(driver.machine.counters().refused, before + 1);
    };
    refused(&mut driver, open_day(20_250_102));
    driver.tell(&[close_day()]);
    refused(&mut driver, close_day());
    refused(&mut driver, open_day(20_250_101));
    let later = |midnight, session_name| {
        let date = 20_250_102;
        operator(DayOpen {
            midnight,
            date,
            session_name,
            _reserved: [0; 10],
        })
    };
    refused(&mut driver, later(u64::MAX, *b"     DAY02"));
    refused(&mut driver, later(0, *b"       \0\0\0"));
    driver.timestamp = 1_000;
    let said = driver.tell(&[later(400, *b"     DAY02")]);
    assert!(matches!(&said[1], Said::Event { time_ns: 601, .. }));
    assert!(driver.machine.day().open);
}

#[test]
fn a_login_asks_for_a_number_of_the_day() {
    let mut driver = venue();
    driver.tell(&[command(1, 1, enter(1, b'B', 5, 10_000))]);
    // Its stream holds 1 (start of day) and 2 (accepted); 3 is next.
    assert_eq!(accepted(&driver.tell(&[login(1, &USERS[0], 0)])), (2, 3, 3));
    assert_eq!(accepted(&driver.tell(&[login(1, &USERS[0], 1)])), (3, 1, 3));
    assert_eq!(accepted(&driver.tell(&[login(1, &USERS[0], 3)])), (4, 3, 3));
    let beyond = driver.tell(&[login(1, &USERS[0], 4)]);
    assert_eq!(rejected(&beyond), LoginRejectReason::SessionNotAvailable);
    // A refused login leaves the connection that is there.
    assert_eq!(
        driver
            .tell(&[command(1, 4, enter(2, b'B', 5, 10_000))])
            .len(),
        1
    );
}

#[test]
fn a_login_names_its_session_and_user() {
    let mut driver = venue();
    let ask = |requested_session: &[u8; 10], user: &[u8; 6], session: u32| {
        let mut command = login(session, user, 0);
        if let Request::Login(body) = &mut command.request {
            body.requested_session = *requested_session;
        }
        command
    };
    for name in [
        b"     DAY01",
        b"DAY01     ",
        b"DAY01\0\0\0\0\0",
        b"          ",
        b"\0\0\0\0\0\0\0\0\0\0",
    ] {
        accepted(&driver.tell(&[ask(name, b"alice ", 1)]));
    }
    let said = driver.tell(&[ask(b"     DAY02", b"ALICE ", 1)]);
    assert_eq!(rejected(&said), LoginRejectReason::SessionNotAvailable);
    for (user, session) in [
        (b"BOB   ", 1),
        (b"ALICE ", 7),
        (b"ALICE ", 0),
        (b"ALICE ", 4_000_000_000),
    ] {
        let said = driver.tell(&[ask(b"          ", user, session)]);
        assert_eq!(rejected(&said), LoginRejectReason::NotAuthorized);
    }
}

#[test]
fn the_newest_login_wins_and_the_old_connection_is_stale() {
    let mut driver = venue();
    let said = driver.tell(&[login_from(1, &USERS[0], 0, 77)]);
    let ended = Control::ConnectionEnded {
        gateway: Gateway(GATEWAY),
        connection: 1,
        session: SessionId(1),
        epoch: ConnectionEpoch(1),
        why: ConnectionEnd::Superseded,
    };
    assert_eq!(said[0], Said::Control(ended));
    assert_eq!(accepted(&said).0, 2);
    let stale = driver.machine.counters().stale;
    let old: [Command; 3] = [
        command(1, 1, enter(1, b'B', 5, 10_000)),
        command(
            1,
            1,
            Disconnect {
                connection: 1,
                reason: 1,
                _reserved: [0; 7],
            },
        ),
        command(1, 1, Logout { connection: 1 }),
    ];
    assert_eq!(driver.tell(&old), []);
    assert_eq!(driver.machine.counters().stale, stale + 3);
    assert!(driver.machine.session(SessionId(1)).unwrap().connected);
    let said = driver.tell(&[command(1, 2, Logout { connection: 77 })]);
    assert!(matches!(
        said[..],
        [Said::Control(Control::ConnectionEnded {
            connection: 77,
            why: ConnectionEnd::Logout,
            ..
        })]
    ));
    assert_eq!(driver.tell(&[command(1, 2, enter(1, b'B', 5, 10_000))]), []);
    assert_eq!(driver.machine.last_user_ref(SessionId(1), 0), 0);
}

#[test]
fn orders_outlive_their_connection_unless_the_session_says_otherwise() {
    let mut driver = venue();
    let gone = |epoch, reason| {
        command(
            1,
            epoch,
            Disconnect {
                connection: 1,
                reason,
                _reserved: [0; 7],
            },
        )
    };
    driver.tell(&[
        command(1, 1, enter(1, b'B', 5, 10_000)),
        command(1, 1, enter(2, b'B', 6, 10_100)),
    ]);
    assert_eq!(driver.tell(&[gone(1, 1)]), []);
    // Its orders trade while it is away, and its stream goes on.
    let said = driver.tell(&[command(2, 1, enter(1, b'S', 1, 10_100))]);
    assert_eq!(numbers(&said, 1), [4]);
    let on = DefineSession {
        session: 1,
        firm: 1,
        user: USERS[0],
        cancel_on_disconnect: 1,
        order_entry: 1,
        _reserved: [0; 8],
    };
    driver.tell(&[operator(on), login(1, &USERS[0], 0)]);
    // Not for a newer login, a new term or the node's own stop.
    driver.tell(&[login(1, &USERS[0], 0)]);
    assert_eq!(driver.tell(&[gone(3, 5)]), []);
    driver.tell(&[login(1, &USERS[0], 0)]);
    driver.term_start();
    assert!(!driver.machine.session(SessionId(1)).unwrap().connected);
    assert_eq!(driver.machine.open_order_count(), 2);
    driver.tell(&[login(1, &USERS[0], 0)]);
    assert_eq!(
        driver.machine.session(SessionId(1)).unwrap().epoch,
        ConnectionEpoch(5)
    );
    let said = driver.tell(&[gone(5, 1)]);
    assert_eq!(lines(&said), ["1: canceled #1 5 Z", "1: canceled #2 5 Z"]);
}

#[test]
fn a_session_defined_during_the_day_begins_its_stream_with_it() {
    let mut driver = venue();
    let said = driver.tell(&[define_session(4, 1, b"dave  ")]);
    assert_eq!(lines(&said), ["4: system S"]);
    assert_eq!(driver.tell(&[define_session(4, 2, b"DAVE  ")]), []);
    assert_eq!(accepted(&driver.tell(&[login(4, b"Dave  ", 1)])), (1, 1, 2));
}
