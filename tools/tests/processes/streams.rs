//! The day's outbound streams: whole, to a late client, while others trade, after a crash and after the close.

use crate::admin::good;
use crate::common::{Fixture, LAYOUT, from_environment, plan, stop_in_order};
use crate::raw::{Raw, Said, Witness, bid, cancel, login_packet, packet, user_ref_of};
use crate::venue::{VenueFolder, VenuePlan};
use lockstep_node::counters::CounterId;
use lockstep_wire::soup::Login;
use std::net::SocketAddr;
use std::time::Duration;

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

/// Figures of the process are brought up to date ten times a second.
const COUNTED: Duration = Duration::from_millis(250);
/// What the venue may take on for a client that is far behind: its buffers, and what others do meanwhile.
const RESIDENT_MORE_MAX: u64 = 8 << 20;
/// Orders that the late client sends before it has heard anything.
const SENT_AHEAD: u32 = 50;

/// A late client takes the whole day from the stream file while another trades on, and trades itself: his is
/// what the first client heard live, to the byte, the answers to what he sends stand behind it, nobody waits
/// for him, and the venue's memory does not grow with the day.
#[test]
fn a_late_client_takes_the_whole_day_while_others_trade() {
    let messages = from_environment("LOCKSTEP_OPERATIONS", 100_000);
    let (fixture, venue) = Fixture::serving(plan());
    let folder = &fixture.folder;
    let mut witness = Witness::new(venue.address, folder);
    let mut live = Raw::logged_in(venue.address, folder, 1, 1);
    let mut heard = Heard::NOTHING;
    let (number, payload) = live.hear();
    heard.add(number, &payload);
    trade(&mut live, &mut heard, messages);
    drop(live);
    std::thread::sleep(COUNTED);
    let before = fixture.counter(CounterId::ResidentBytes);
    assert!(before > 1 << 20, "resident memory is not counted");
    let address = venue.address;
    let next = 1_000_000_000;
    let (late, most, served) = std::thread::scope(|scope| {
        let late = scope.spawn(|| {
            let mut client = Raw::connect(address);
            client.send(&login_packet(&login(folder, 1)));
            assert_eq!(client.said(), Said::Accepted(1));
            let ahead = (next..next + SENT_AHEAD).flat_map(|user_ref| packet(&bid(user_ref)));
            client.send(&ahead.collect::<Vec<u8>>());
            let mut all = Heard::NOTHING;
            while all.count < heard.count {
                let (number, payload) = client.hear();
                all.add(number, &payload);
            }
            for (user_ref, number) in (next..next + SENT_AHEAD).zip(heard.count + 1..) {
                let (found, payload) = client.hear();
                assert_eq!((found, payload[0]), (number, b'A'));
                assert_eq!(user_ref_of(&payload), Some(user_ref));
                client.message(&cancel(user_ref));
            }
            for (user_ref, number) in
                (next..next + SENT_AHEAD).zip(heard.count + 1 + u64::from(SENT_AHEAD)..)
            {
                let (found, payload) = client.hear();
                assert_eq!((found, payload[0]), (number, b'C'));
                assert_eq!(user_ref_of(&payload), Some(user_ref));
            }
            all
        });
        let (mut served, mut most) = (0, 0);
        while !late.is_finished() || served < 10 {
            witness.is_served();
            served += 1;
            most = most.max(fixture.counter(CounterId::ResidentBytes));
        }
        (late.join().expect("the whole day"), most, served)
    });
    std::thread::sleep(COUNTED);
    let most = most.max(fixture.counter(CounterId::ResidentBytes));
    println!(
        "{} messages; resident {before} bytes, at most {most}; {served} others",
        late.count
    );
    assert_eq!(late, heard);
    assert!(late.count >= messages);
    assert!(fixture.counter(CounterId::MessagesReplayed) >= messages * 20);
    assert!(
        most <= before + RESIDENT_MORE_MAX,
        "{before} bytes became {most} for a day of {messages} messages"
    );
    // A crash: the files are made again from the log, to the byte.
    venue.kill().expect("an end");
    let venue = fixture.start();
    let (mut client, again) = hear_all(venue.address, &login(folder, 1), heard.count);
    assert_eq!(again, heard);
    // And the stream goes on where it was.
    let next = next + SENT_AHEAD;
    client.message(&bid(next));
    let (number, _) = client.hear_of(b'A', next);
    assert_eq!(number, heard.count + u64::from(2 * SENT_AHEAD) + 1);
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
