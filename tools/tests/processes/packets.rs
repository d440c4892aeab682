//! Bad input, tables P and M of docs/wire-protocol.md: the answer of the table, the connection closed,
//! everybody else served on.

use crate::common::{Fixture, plan, stop_in_order, wait_until};
use crate::raw::{Raw, Said, Witness, bid, login_packet, packet, typed};
use lockstep_bench::random::Random;
use lockstep_node::counters::CounterId;

/// The venue says what was wrong and closes, and says nothing else.
#[track_caller]
fn assert_debug_and_close(client: &mut Raw, what: &str) {
    let said = client.said_to_the_end();
    let is_debug = matches!(&said[..], [Said::Debug(text)] if !text.is_empty());
    assert!(is_debug, "{what}: {said:?}");
}

#[test]
fn garbage_and_other_protocols_are_told_so_and_closed() {
    let (fixture, venue) = Fixture::serving(plan());
    let mut witness = Witness::new(venue.address, &fixture.folder);
    let strangers: [&[u8]; 3] = [
        b"GET / HTTP/1.1\r\nHost: venue\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"8=FIX.4.4\x019=70\x0135=A\x01",
    ];
    for stranger in strangers {
        let mut client = Raw::connect(venue.address);
        client.send(stranger);
        assert_debug_and_close(&mut client, "another protocol");
    }
    let mut random = Random::new(7);
    let mut closed = 0;
    for _ in 0..200 {
        let mut client = Raw::connect(venue.address);
        let bytes: Vec<u8> = (0..random.below(600))
            .map(|_| random.next() as u8)
            .collect();
        // The venue may have closed at the first bytes.
        if client.send_perhaps(&bytes) {
            let _ = client.send_perhaps(&[0; 2]);
        }
        let said = client.said_to_the_end();
        assert!(said.iter().all(|s| matches!(s, Said::Debug(_))), "{said:?}");
        closed += 1;
    }
    assert_eq!(closed, 200);
    witness.is_served();
    wait_until("violations counted", || {
        fixture.counter(CounterId::Violations) >= 100
    });
    stop_in_order(venue);
}

#[test]
fn truncated_packets_wait_and_are_understood_wherever_they_are_cut() {
    let (fixture, venue) = Fixture::serving(plan());
    let mut witness = Witness::new(venue.address, &fixture.folder);
    let login = login_packet(&fixture.folder.login(1, 1).expect("login"));
    // A piece of a login, and the connection ends: nothing was said.
    let mut client = Raw::connect(venue.address);
    client.send(&login[..20]);
    client.shut_down_sending();
    assert_eq!(client.said_to_the_end(), []);
    witness.is_served();
    // Login and order in pieces of one byte each.
    let mut client = Raw::connect(venue.address);
    for byte in &login {
        client.send(std::slice::from_ref(byte));
    }
    assert_eq!(client.said(), Said::Accepted(1));
    for byte in &packet(&bid(1)) {
        client.send(std::slice::from_ref(byte));
        witness.is_served();
    }
    client.hear_of(b'A', 1);
    stop_in_order(venue);
}

#[test]
fn a_half_packet_and_silence_ends_at_the_login_timer() {
    let network = "login_timeout_ms = 300".to_owned();
    let (fixture, venue) = Fixture::serving(crate::venue::VenuePlan { network, ..plan() });
    let mut witness = Witness::new(venue.address, &fixture.folder);
    let mut client = Raw::connect(venue.address);
    client.send(b"\x00\x2f");
    assert_eq!(client.said_to_the_end(), []);
    witness.is_served();
    stop_in_order(venue);
}

#[test]
fn oversized_empty_and_misplaced_packets_are_told_so_and_closed() {
    let (fixture, venue) = Fixture::serving(plan());
    let mut witness = Witness::new(venue.address, &fixture.folder);
    let mut wrong = vec![
        ("P2 length 0", vec![0, 0]),
        (
            "P3 2,047 and the length field is 2,049",
            vec![0x07, 0xff, b'U'],
        ),
        ("P3 the longest there is", vec![0xff, 0xff, b'U']),
        ("P5 unknown type", typed(b'q', b"")),
        ("P6 a login too short", typed(b'L', &[b' '; 45])),
        ("P6 a login too long", typed(b'L', &[b' '; 47])),
        ("P6 a heartbeat with text", typed(b'R', b"x")),
    ];
    for letter in *b"AJSHZ" {
        wrong.push(("P4 a server's type", typed(letter, b"")));
    }
    for (what, bytes) in &wrong {
        for is_logged_in in [false, true] {
            let mut client = if is_logged_in {
                // From the next number on: nothing is told that happened before.
                Raw::logged_in(venue.address, &fixture.folder, 1, 0)
            } else {
                Raw::connect(venue.address)
            };
            client.send(bytes);
            assert_debug_and_close(&mut client, what);
        }
        witness.is_served();
    }
    stop_in_order(venue);
}

#[test]
fn noise_is_silent() {
    let (fixture, venue) = Fixture::serving(plan());
    let noise = [
        typed(b'R', b""),
        typed(b'+', b"hello"),
        typed(b'+', &[0xff; 100]),
    ]
    .concat();
    let mut client = Raw::connect(venue.address);
    client.send(&noise);
    client.send(&login_packet(&fixture.folder.login(1, 1).expect("login")));
    assert_eq!(client.said(), Said::Accepted(1));
    client.send(&noise);
    client.message(&bid(1));
    // The day's opening, then the order: nothing in between.
    assert_eq!(client.hear().1[0], b'S');
    assert_eq!(client.hear().1[0], b'A');
    stop_in_order(venue);
}

#[test]
fn messages_of_illegal_form_are_told_so_and_closed() {
    let (fixture, venue) = Fixture::serving(plan());
    let mut witness = Witness::new(venue.address, &fixture.folder);
    let order = bid(1);
    let with_options = |options: &[u8]| {
        let mut message = order.clone();
        let length = message.len();
        message[length - 2..].copy_from_slice(&(options.len() as u16).to_be_bytes());
        [&message[..], options].concat()
    };
    let wrong = [
        ("M1 nothing", Vec::new()),
        ("M2 unknown type", b"z123".to_vec()),
        ("M2 a venue's type", vec![b'A'; 64]),
        ("M3 a short order", order[..30].to_vec()),
        ("M3 half a length field", order[..order.len() - 1].to_vec()),
        ("M4 options that do not follow", {
            let mut message = order.clone();
            let length = message.len();
            message[length - 1] = 9;
            message
        }),
        ("M5 too many options", with_options(&[2, 1, 1].repeat(171))),
        ("M6 an option of no length", with_options(&[0])),
        (
            "M6 an option longer than what is left",
            with_options(&[200, 1]),
        ),
    ];
    for (what, message) in &wrong {
        let mut client = Raw::logged_in(venue.address, &fixture.folder, 1, 0);
        client.message(message);
        assert_debug_and_close(&mut client, what);
        witness.is_served();
    }
    // The session is as it was: its first number is still free, and no message was lost to noise.
    let mut client = Raw::logged_in(venue.address, &fixture.folder, 1, 1);
    client.message(&order);
    assert_eq!(client.hear().1[0], b'S');
    assert_eq!(client.hear_of(b'A', 1).0, 2);
    stop_in_order(venue);
}

#[test]
fn illegal_field_values_are_answered_by_the_state_machine_and_numbered() {
    let (fixture, venue) = Fixture::serving(plan());
    let mut client = Raw::logged_in(venue.address, &fixture.folder, 1, 1);
    // Offsets of OUCH 5.0's Enter Order: side 5, quantity 6, symbol 10, price 18, time in force 26.
    let wrong: [(&str, usize, &[u8], u16); 6] = [
        ("O6 symbol", 10, b"NOSUCH  ", 0x17),
        ("O8 side", 5, b"X", 0x09),
        ("O9 quantity 0", 6, &[0; 4], 0x13),
        ("O9 quantity", 6, &1_000_000_u32.to_be_bytes(), 0x13),
        ("O10 time in force", 26, b"9", 0x0f),
        ("O18 off tick", 18, &10_001_u64.to_be_bytes(), 0x1d),
    ];
    assert_eq!(client.hear().1[0], b'S');
    for (user_ref, (what, at, bytes, reason)) in (1..).zip(wrong) {
        let mut message = bid(user_ref);
        message[at..at + bytes.len()].copy_from_slice(bytes);
        client.message(&message);
        let (number, payload) = client.hear();
        assert_eq!(
            (number, payload[0]),
            (u64::from(user_ref) + 1, b'J'),
            "{what}"
        );
        assert_eq!(
            u16::from_be_bytes([payload[13], payload[14]]),
            reason,
            "{what}"
        );
    }
    client.message(&bid(7));
    client.hear_of(b'A', 7);
    stop_in_order(venue);
}
