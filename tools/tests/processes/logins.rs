//! Logins that are refused, logins out of place, and sessions that change connections: tables C, L and
//! P8 to P11 of docs/wire-protocol.md.

use crate::common::{Fixture, plan, stop_in_order, wait_until};
use crate::raw::{Raw, Said, Witness, bid, login_packet};
use crate::venue::{VenuePlan, VenueProcess};
use lockstep_node::counters::CounterId;
use lockstep_wire::soup::{CLIENT_HEARTBEAT, Login};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

#[test]
fn refused_logins_get_their_letter_and_are_closed() {
    let (fixture, venue) = Fixture::serving(plan());
    let folder = &fixture.folder;
    let mut witness = Witness::new(venue.address, folder);
    let good = folder.login(1, 1).expect("login");
    let other = |user: &str, password: &str| Login::new(user, password, 1).expect("login");
    let mut blank_number = login_packet(&good);
    blank_number[29..].fill(b' ');
    let cases = [
        (
            "L1 wrong password",
            login_packet(&other("T1", "wrong")),
            b'A',
        ),
        (
            "L1 unknown user",
            login_packet(&other("NOBODY", &folder.password)),
            b'A',
        ),
        (
            "L2 wrong session",
            login_packet(&Login {
                session: *b"YESTERDAY ",
                ..good
            }),
            b'S',
        ),
        (
            "L3 number above the next",
            login_packet(&Login {
                number: 1_000,
                ..good
            }),
            b'S',
        ),
        (
            "L3 the last number there is",
            login_packet(&Login {
                number: u64::MAX,
                ..good
            }),
            b'S',
        ),
        ("L4 no number", blank_number, b'S'),
    ];
    for (what, packet, letter) in cases {
        let mut client = Raw::connect(venue.address);
        client.send(&packet);
        assert_eq!(client.said_to_the_end(), [Said::Rejected(letter)], "{what}");
        witness.is_served();
    }
    assert!(fixture.counter(CounterId::LoginsRejected) >= 6);
    // The same user, as it should be: the next number is the one behind the day's opening.
    let mut client = Raw::connect(venue.address);
    client.send(&login_packet(&Login { number: 2, ..good }));
    assert_eq!(client.said(), Said::Accepted(2));
    stop_in_order(venue);
}

#[test]
fn data_before_login_and_a_second_login_close() {
    let (fixture, venue) = Fixture::serving(plan());
    let mut witness = Witness::new(venue.address, &fixture.folder);
    let mut client = Raw::connect(venue.address);
    client.message(&bid(1));
    assert_eq!(client.said_to_the_end(), [], "P8");
    let mut client = Raw::connect(venue.address);
    client.log_out();
    assert_eq!(client.said_to_the_end(), [], "P10");
    let mut client = Raw::logged_in(venue.address, &fixture.folder, 1, 0);
    client.send(&login_packet(&fixture.folder.login(1, 0).expect("login")));
    assert_eq!(client.said_to_the_end(), [], "P9");
    witness.is_served();
    // What was sent before any login was not taken for an order.
    let mut client = Raw::logged_in(venue.address, &fixture.folder, 1, 1);
    client.message(&bid(1));
    assert_eq!(client.hear().1[0], b'S');
    assert_eq!(client.hear_of(b'A', 1).0, 2);
    stop_in_order(venue);
}

#[test]
fn the_newest_login_wins_and_the_older_connection_ends() {
    let (fixture, venue) = Fixture::serving(plan());
    let mut older = Raw::logged_in(venue.address, &fixture.folder, 1, 1);
    older.message(&bid(1));
    older.hear_of(b'A', 1);
    let next = older.next_number();
    let mut newer = Raw::logged_in(venue.address, &fixture.folder, 1, next);
    assert_eq!(older.said_to_the_end(), [Said::EndOfSession]);
    newer.message(&bid(2));
    let (number, _) = newer.hear_of(b'A', 2);
    assert_eq!(
        number, next,
        "numbers go on where the older connection left them"
    );
    stop_in_order(venue);
}

#[test]
fn a_half_closed_socket_s_orders_are_put_in_order_before_it_ends() {
    let (fixture, venue) = Fixture::serving(plan());
    let mut witness = Witness::new(venue.address, &fixture.folder);
    let mut client = Raw::logged_in(venue.address, &fixture.folder, 1, 1);
    for user_ref in 1..=50 {
        client.message(&bid(user_ref));
    }
    client.shut_down_sending();
    client.said_to_the_end();
    witness.is_served();
    // C8: whatever it still heard, everything it had sent is on its stream, once.
    let mut again = Raw::logged_in(venue.address, &fixture.folder, 1, 1);
    assert_eq!(again.hear().1[0], b'S');
    for user_ref in 1..=50 {
        let (number, payload) = again.hear();
        assert_eq!((number, payload[0]), (u64::from(user_ref) + 1, b'A'));
        assert_eq!(crate::raw::user_ref_of(&payload), Some(user_ref));
    }
    stop_in_order(venue);
}

#[test]
fn a_connection_that_fails_leaves_its_session_and_stream() {
    let (fixture, venue) = Fixture::serving(plan());
    for round in 0..20_u32 {
        let mut client = Raw::logged_in(venue.address, &fixture.folder, 1, 0);
        client.message(&bid(round + 1));
        // Dropped with its answers unread: the kernel resets the connection.
        if round % 2 == 0 {
            wait_until("the answer is on its way", || {
                fixture.counter(CounterId::AppliedSequence) > u64::from(round)
            });
        }
        drop(client);
    }
    // An order in a connection that was reset may have been lost with it; it never comes twice.
    let mut client = Raw::logged_in(venue.address, &fixture.folder, 1, 1);
    client.message(&bid(21));
    let mut last = 0;
    loop {
        let (_, payload) = client.hear();
        if payload[0] != b'A' {
            continue;
        }
        let user_ref = crate::raw::user_ref_of(&payload).expect("a number");
        assert!(user_ref > last, "{user_ref} after {last}");
        last = user_ref;
        if user_ref == 21 {
            break;
        }
    }
    stop_in_order(venue);
}

#[test]
fn a_connection_too_many_is_closed_at_once() {
    let network = "connections_max = 3".to_owned();
    let (fixture, venue) = Fixture::serving(VenuePlan { network, ..plan() });
    let mut witness = Witness::new(venue.address, &fixture.folder);
    let mut first = Raw::logged_in(venue.address, &fixture.folder, 1, 1);
    let _third = Raw::logged_in(venue.address, &fixture.folder, 3, 1);
    let mut refused = Raw::connect(venue.address);
    assert_eq!(refused.said_to_the_end(), []);
    witness.is_served();
    first.message(&bid(1));
    first.hear_of(b'A', 1);
    stop_in_order(venue);
}

#[test]
fn silence_is_broken_by_heartbeats_and_ends_a_peer_that_is_silent_too() {
    let network = "heartbeat_ms = 50\npeer_timeout_ms = 1000".to_owned();
    let (fixture, venue) = Fixture::serving(VenuePlan { network, ..plan() });
    let address = venue.address;
    let mut alive = Raw::logged_in(address, &fixture.folder, 2, 0);
    let mut silent = Raw::logged_in(address, &fixture.folder, 1, 0);
    let heard = std::thread::spawn(move || (silent.said_to_the_end(), silent.heartbeats()));
    while !heard.is_finished() {
        alive.send(&CLIENT_HEARTBEAT);
        std::thread::sleep(Duration::from_millis(20));
    }
    let (said, heartbeats) = heard.join().expect("heard");
    assert_eq!(said, [], "C4");
    assert!(heartbeats >= 3, "C3: {heartbeats} in a second of silence");
    assert!(fixture.counter(CounterId::PeersTimedOut) >= 1);
    alive.message(&bid(1));
    alive.hear_of(b'A', 1);
    stop_in_order(venue);
}

/// `[day]` with a close so many seconds from now, and no midnight in between.
fn closing_in(seconds: u64) -> String {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970");
    let second_of_day = since.as_secs() % 86_400;
    let is_late = second_of_day + seconds + 60 >= 86_400;
    let (offset, at) = if is_late {
        (-720, second_of_day + seconds - 43_200)
    } else {
        (0, second_of_day + seconds)
    };
    format!(
        "\n[day]\nutc_offset_minutes = {offset}\nclose_at_minutes = {}\nclose_at_seconds = {}\n",
        at / 60,
        at % 60
    )
}

/// A venue that closes its day soon, with time left to trade. The close was 12 s after the test's begin, and a busy host
/// needed more to start the venue.
fn closing_soon() -> (Fixture, VenueProcess) {
    for seconds in [12, 30, 90] {
        let more = crate::common::LAYOUT.to_owned() + &closing_in(seconds);
        let close = Instant::now() + Duration::from_secs(seconds);
        let (fixture, venue) = Fixture::serving(VenuePlan { more, ..plan() });
        if Instant::now() + Duration::from_secs(seconds / 2) < close {
            return (fixture, venue);
        }
        stop_in_order(venue);
    }
    panic!("three starts took half of the time to the close");
}

#[test]
fn the_close_expires_day_orders_on_every_stream_and_ends_the_session() {
    let (fixture, venue) = closing_soon();
    let mut client = Raw::logged_in(venue.address, &fixture.folder, 1, 1);
    let mut idle = Raw::logged_in(venue.address, &fixture.folder, 2, 1);
    for user_ref in 1..=3 {
        client.message(&bid(user_ref));
    }
    client.hear_of(b'A', 3);
    let said = client.said_to_the_end();
    let letters: Vec<_> = said
        .iter()
        .map(|said| match said {
            Said::Message(_, m) if m[0] == b'C' => (m[0], m[17]),
            Said::Message(_, m) if m[0] == b'S' => (m[0], m[9]),
            Said::EndOfSession => (b'Z', 0),
            other => panic!("{other:?}"),
        })
        .collect();
    let expired = (b'C', b'E');
    assert_eq!(
        letters,
        [expired, expired, expired, (b'S', b'E'), (b'Z', 0)],
        "C11"
    );
    let said = idle.said_to_the_end();
    assert!(matches!(&said[..], [.., Said::Message(_, m), Said::EndOfSession] if m[..1] == *b"S"));
    // L5: nobody logs in until the next day opens, after a restart neither.
    stop_in_order(venue);
    let venue = fixture.start();
    let mut late = Raw::connect(venue.address);
    late.send(&login_packet(&fixture.folder.login(1, 1).expect("login")));
    assert_eq!(late.said_to_the_end(), [Said::Rejected(b'S')], "L5");
    stop_in_order(venue);
}

#[test]
fn an_orderly_stop_answers_what_was_sent_and_says_no_end_of_session() {
    let (fixture, venue) = Fixture::serving(plan());
    let mut client = Raw::logged_in(venue.address, &fixture.folder, 1, 1);
    client.message(&bid(1));
    client.hear_of(b'A', 1);
    let next = client.next_number();
    for user_ref in 2..=30 {
        client.message(&bid(user_ref));
    }
    wait_until("all thirty are taken", || {
        fixture.counter(CounterId::MessagesIn) >= 30
    });
    let ended = stop_in_order(venue);
    let said = client.said_to_the_end();
    let accepted = said
        .iter()
        .filter(|s| matches!(s, Said::Message(_, m) if m[0] == b'A'))
        .count();
    assert_eq!(accepted, 29, "C12: {said:?}");
    assert!(
        !said.contains(&Said::EndOfSession),
        "the trading session is not over"
    );
    // And the next run knows: a clean stop, nothing to mend, the stream to be had again.
    let (_, sequence) = ended.state().expect("a state");
    let venue = fixture.start();
    let recovered = venue.lines().join("\n");
    assert!(!recovered.contains("cut"), "{recovered}");
    assert!(
        recovered.contains(&format!("recovered {sequence} records")),
        "{recovered}"
    );
    let mut client = Raw::logged_in(venue.address, &fixture.folder, 1, next);
    assert_eq!(client.hear().0, next);
    stop_in_order(venue);
}
