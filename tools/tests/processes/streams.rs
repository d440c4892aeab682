//! The day's outbound streams: whole, to a late client, while others trade, after a crash and after the close.

use crate::admin::good;
use crate::common::{Fixture, LAYOUT, from_environment, plan, stop_in_order};
use crate::raw::{Raw, Said, Witness, bid, cancel, login_packet, packet};
use crate::venue::{VenueFolder, VenuePlan};
use lockstep_node::counters::CounterId;
use lockstep_wire::soup::Login;
use std::net::SocketAddr;

/// Says nothing more than its number of messages and a hash of them all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Heard {
    count: u64,
    hash: u64,
}

impl Heard {
    const NOTHING: Self = Self { count: 0, hash: 0 };

    fn add(&mut self, number: u64, payload: &[u8]) {
        assert_eq!(number, self.count + 1, "a gap or a double");
        self.count = number;
        for &byte in payload {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3);
        }
    }
}

/// Enters and cancels until its stream has `messages`, hearing all of it.
fn trade(client: &mut Raw, heard: &mut Heard, messages: u64) {
    const BURST: u32 = 200;
    let mut user_ref = heard.count as u32;
    while heard.count < messages {
        let mut bytes = Vec::new();
        for _ in 0..BURST {
            user_ref += 1;
            bytes.extend(packet(&bid(user_ref)));
            bytes.extend(packet(&cancel(user_ref)));
        }
        client.send(&bytes);
        for _ in 0..2 * BURST {
            let (number, payload) = client.hear();
            heard.add(number, &payload);
        }
    }
}

/// Everything from number 1 to `last`, on a connection of its own that names the day or not.
fn hear_all(address: SocketAddr, login: &Login, last: u64) -> (Raw, Heard) {
    let mut client = Raw::connect(address);
    client.send(&login_packet(login));
    assert_eq!(client.said(), Said::Accepted(1));
    let mut heard = Heard::NOTHING;
    while heard.count < last {
        let (number, payload) = client.hear();
        heard.add(number, &payload);
    }
    (client, heard)
}

fn login(folder: &VenueFolder, session: u32) -> Login {
    folder.login(session, 1).expect("login")
}

/// A late client takes the whole day from the stream file while another trades on: his is what the first
/// client heard live, to the byte, and nobody waits for it.
#[test]
fn a_late_client_takes_the_whole_day_while_others_trade() {
    let messages = from_environment("LOCKSTEP_OPERATIONS", 60_000);
    let (fixture, venue) = Fixture::serving(plan());
    let folder = &fixture.folder;
    let mut witness = Witness::new(venue.address, folder);
    let mut live = Raw::logged_in(venue.address, folder, 1, 1);
    let mut heard = Heard::NOTHING;
    let (number, payload) = live.hear();
    heard.add(number, &payload);
    trade(&mut live, &mut heard, messages);
    drop(live);
    let address = venue.address;
    let late = std::thread::scope(|scope| {
        let late = scope.spawn(|| hear_all(address, &login(folder, 1), heard.count).1);
        let mut served = 0;
        while !late.is_finished() || served < 10 {
            witness.is_served();
            served += 1;
        }
        late.join().expect("the whole day")
    });
    assert_eq!(late, heard);
    assert!(late.count >= messages);
    assert!(fixture.counter(CounterId::MessagesReplayed) >= messages * 20);
    // A crash: the files are made again from the log, to the byte.
    venue.kill().expect("an end");
    let venue = fixture.start();
    let (mut client, again) = hear_all(venue.address, &login(folder, 1), heard.count);
    assert_eq!(again, heard);
    // And the stream goes on where it was.
    let next = heard.count as u32 + 1;
    client.message(&bid(next));
    assert_eq!(client.hear_of(b'A', next).0, heard.count + 1);
    stop_in_order(venue);
}

#[test]
fn after_the_close_who_names_the_day_gets_its_stream_and_its_end() {
    let (fixture, venue) = Fixture::serving(VenuePlan {
        more: format!("{LAYOUT}\n[day]\nopening = \"operator\"\n"),
        ..plan()
    });
    let folder = &fixture.folder;
    good(folder, &["open-day"]);
    let mut client = Raw::connect(venue.address);
    client.send(&login_packet(&login(folder, 1)));
    let Said::Accepted(1) = client.said() else {
        panic!("not accepted");
    };
    let mut heard = Heard::NOTHING;
    let (number, payload) = client.hear();
    heard.add(number, &payload);
    trade(&mut client, &mut heard, 100);
    client.message(&bid(1_000_000));
    good(folder, &["show", "orders", "1"]);
    good(folder, &["close-day"]);
    for said in client.said_to_the_end() {
        match said {
            Said::Message(number, payload) => heard.add(number, &payload),
            Said::EndOfSession => {}
            other => panic!("{other:?}"),
        }
    }
    let day = good(folder, &["show", "day"]);
    let name = day
        .split_whitespace()
        .find(|word| word.len() == 8 && word.starts_with("20"))
        .expect("a date");
    let mut session = [b' '; 10];
    session[2..].copy_from_slice(name.as_bytes());
    let named = Login {
        session,
        ..login(folder, 1)
    };
    let ended = |address| {
        let (mut late, all) = hear_all(address, &named, heard.count);
        assert_eq!(all, heard);
        late.message(&bid(7));
        assert_eq!(late.said_to_the_end(), [Said::EndOfSession]);
        // Who names no day wants to trade: there is none.
        let mut blank = Raw::connect(address);
        blank.send(&login_packet(&login(folder, 1)));
        assert_eq!(blank.said_to_the_end(), [Said::Rejected(b'S')]);
    };
    ended(venue.address);
    stop_in_order(venue);
    // After a restart too, and after a crash.
    let venue = fixture.start();
    ended(venue.address);
    venue.kill().expect("an end");
    let venue = fixture.start();
    ended(venue.address);
    stop_in_order(venue);
}
