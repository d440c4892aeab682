//! The gateway against a fake driver: every answer it gives by itself, and that nothing is lost when
//! rings are full or clients slow.

mod pressure;

use super::*;
use crate::auth::{Credential, HashCost, Passwords, hash_password};
use crate::egress;
use lockstep_record::event::{ConnectionEnd, Control, LoginRejectReason};
use lockstep_record::{Kind, Record, StreamNumber};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

const SESSION: SessionId = SessionId(3);
const NAME: [u8; 10] = *b"  20261121";

#[derive(Default)]
struct FakeOut {
    sent: HashMap<u64, Vec<u8>>,
    room: HashMap<u64, usize>,
    paused: HashMap<u64, bool>,
    closed: HashMap<u64, &'static str>,
}

impl Out for FakeOut {
    fn send_all(&mut self, c: ConnectionId, bytes: &[u8]) -> bool {
        if self.send_room(c) < bytes.len() {
            return false;
        }
        if let Some(room) = self.room.get_mut(&c.0) {
            *room -= bytes.len();
        }
        self.sent.entry(c.0).or_default().extend_from_slice(bytes);
        true
    }
    fn send_room(&self, c: ConnectionId) -> usize {
        self.room.get(&c.0).copied().unwrap_or(1 << 20)
    }
    fn send_pending(&self, _: ConnectionId) -> usize {
        0
    }
    fn pause(&mut self, c: ConnectionId) {
        self.paused.insert(c.0, true);
    }
    fn resume(&mut self, c: ConnectionId) {
        self.paused.insert(c.0, false);
    }
    fn close_after_flush(&mut self, c: ConnectionId) {
        self.closed.insert(c.0, "flush");
    }
    fn close_now(&mut self, c: ConnectionId) {
        self.closed.insert(c.0, "now");
    }
}

/// Stored packets of session 3, number 1 first, as far as `written`.
#[derive(Default)]
struct FakeStreams {
    packets: Arc<std::sync::Mutex<Vec<Vec<u8>>>>,
}

impl StreamSource for FakeStreams {
    fn begin_day(&mut self, _: &[u8; 10]) {
        self.packets.lock().unwrap().clear();
    }

    fn read(
        &mut self,
        session: SessionId,
        from: u64,
        out: &mut [u8],
    ) -> Result<(usize, u64), Fatal> {
        assert_eq!(session, SESSION);
        let packets = self.packets.lock().unwrap();
        let (mut bytes, mut count) = (0, 0);
        for packet in packets.iter().skip(from as usize - 1) {
            if bytes + packet.len() > out.len() {
                break;
            }
            out[bytes..bytes + packet.len()].copy_from_slice(packet);
            bytes += packet.len();
            count += 1;
        }
        Ok((bytes, count))
    }
}

struct Bed {
    gateway: Gateway<FakeStreams>,
    out: FakeOut,
    records: ring::Consumer,
    engine: ring::Producer,
    stored: Arc<std::sync::Mutex<Vec<Vec<u8>>>>,
    now_ns: u64,
    next_number: u64,
    _folder: tempfile::TempDir,
}

fn id(slot: u64) -> ConnectionId {
    ConnectionId(1 << 32 | slot)
}

impl Bed {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let counters = Counters::create(&folder.path().join("counters")).unwrap();
        let (ingress, mut records) = ring::create(64 << 10, 1).unwrap();
        let (engine, mut egress) = ring::create(64 << 10, 1).unwrap();
        let password = Password::new("secret").unwrap();
        let credential = Credential {
            user: User::new("ALICE").unwrap(),
            session: SESSION.0,
            password_argon2id: hash_password(&password, HashCost::CHEAP).unwrap(),
        };
        let streams = FakeStreams::default();
        let stored = Arc::clone(&streams.packets);
        let parts = GatewayParts {
            timing: Timing::default(),
            connections_max: 8,
            next_numbers: vec![1; 8],
            day_over: false,
            ingress,
            egress: egress.pop().unwrap(),
            verifier: Verifier::start(Passwords::new(vec![credential])).unwrap(),
            logins: LoginsConfig::default(),
            streams,
            flush_wanted: Arc::new(AtomicBool::new(false)),
        };
        let gateway = Gateway::new(parts, &counters);
        let records = records.pop().unwrap();
        let out = FakeOut::default();
        let (now_ns, next_number) = (1, 1);
        Self {
            gateway,
            out,
            records,
            engine,
            stored,
            now_ns,
            next_number,
            _folder: folder,
        }
    }

    fn accept(&mut self, slot: u64) {
        self.gateway
            .handle_accepted(id(slot), "127.0.0.1:9".parse().unwrap(), &mut self.out);
    }

    fn feed(&mut self, slot: u64, bytes: &[u8]) -> usize {
        self.gateway.handle_received(id(slot), bytes, &mut self.out)
    }

    fn work(&mut self) {
        self.gateway.do_work(self.now_ns, &mut self.out).unwrap();
    }

    fn next_record(&mut self) -> Option<(Kind, u32, u32)> {
        let frame = self.records.peek()?;
        let (record, rest) = Record::parse(frame.payload).unwrap();
        assert!(rest.is_empty());
        let source = record.header().source;
        let found = (record.header().kind, source.session.0, source.epoch.0);
        self.records.advance();
        self.records.publish();
        Some(found)
    }

    fn wait_record(&mut self) -> (Kind, u32, u32) {
        loop {
            self.work();
            if let Some(found) = self.next_record() {
                return found;
            }
            std::thread::yield_now();
        }
    }

    fn control(&mut self, control: &Control) {
        assert!(
            self.engine
                .push(egress::TAG_CONTROL, &egress::write_control(control))
        );
        self.work();
    }

    /// A numbered message as the engine emits it; `stored` says whether the stream store has it too.
    fn emit(&mut self, length: usize, stored: bool) -> Vec<u8> {
        let mut packet = vec![0, (length - 2) as u8, b'S'];
        packet.resize(length, self.next_number as u8);
        let mut frame = vec![0; egress::MESSAGE_HEADER];
        egress::write_message_header(&mut frame, SESSION, StreamNumber(self.next_number), length);
        frame.extend_from_slice(&packet);
        assert!(self.engine.push(egress::TAG_MESSAGE, &frame));
        self.next_number += 1;
        if stored {
            self.stored.lock().unwrap().push(packet.clone());
        }
        self.work();
        packet
    }

    fn log_in(&mut self, slot: u64, epoch: u32, first: u64) {
        self.accept(slot);
        self.feed(slot, &login_packet("alice", "secret", first));
        assert_eq!(self.wait_record(), (Kind::LOGIN, SESSION.0, 0));
        self.control(&accepted(slot, epoch, first, self.next_number));
    }

    fn sent(&mut self, slot: u64) -> Vec<u8> {
        self.out.sent.remove(&id(slot).0).unwrap_or_default()
    }
}

fn accepted(slot: u64, epoch: u32, first: u64, next: u64) -> Control {
    Control::LoginAccepted {
        gateway: GatewayId(1),
        connection: id(slot).0,
        session: SESSION,
        epoch: ConnectionEpoch(epoch),
        session_name: NAME,
        first_number: StreamNumber(first),
        next_number: StreamNumber(next),
    }
}

fn login_packet(user: &str, password: &str, number: u64) -> Vec<u8> {
    format!("\0\x2fL{user:<6}{password:<10}{:10}{number:>20}", "").into_bytes()
}

const QUERY: &[u8] = b"\0\x02UQ";

#[test]
fn a_login_is_verified_sequenced_and_then_answered() {
    let mut bed = Bed::new();
    bed.accept(0);
    let packet = login_packet("alice", "secret", 1);
    for split in 1..packet.len() {
        assert_eq!(
            bed.feed(0, &packet[..split]),
            0,
            "half a packet stays with the driver"
        );
    }
    assert_eq!(bed.feed(0, &packet), packet.len());
    assert_eq!(bed.wait_record(), (Kind::LOGIN, SESSION.0, 0));
    assert!(
        bed.sent(0).is_empty(),
        "nothing is said before the login is committed"
    );
    assert_eq!(bed.feed(0, QUERY), 0, "nothing is read meanwhile");
    bed.control(&accepted(0, 5, 1, 1));
    assert_eq!(bed.sent(0), b"\0\x1fA  20261121                   1");
    assert_eq!(bed.feed(0, QUERY), QUERY.len());
    assert_eq!(bed.next_record(), Some((Kind::ACCOUNT_QUERY, SESSION.0, 5)));
}

#[test]
fn a_wrong_password_and_an_unknown_user_get_j_a() {
    for (user, password) in [("alice", "wrong"), ("bob", "secret")] {
        let mut bed = Bed::new();
        bed.accept(0);
        bed.feed(0, &login_packet(user, password, 1));
        while bed.out.closed.is_empty() {
            bed.work();
            std::thread::yield_now();
        }
        assert_eq!(bed.sent(0), b"\0\x02JA");
        assert_eq!(bed.out.closed[&id(0).0], "flush");
        assert_eq!(
            bed.next_record(),
            None,
            "a failed password is not put in order"
        );
    }
}

#[test]
fn a_login_that_the_state_machine_refuses_gets_j_s() {
    let mut bed = Bed::new();
    bed.accept(0);
    bed.feed(0, &login_packet("alice", "secret", 99));
    bed.wait_record();
    let reason = LoginRejectReason::SessionNotAvailable;
    bed.control(&Control::LoginRejected {
        gateway: GatewayId(1),
        connection: id(0).0,
        reason,
    });
    assert_eq!(bed.sent(0), b"\0\x02JS");
    assert_eq!(bed.out.closed[&id(0).0], "flush");
}

#[test]
fn violations_end_the_connection_and_are_put_in_order() {
    let mut bed = Bed::new();
    bed.accept(1);
    bed.feed(1, QUERY);
    assert_eq!(bed.out.closed[&id(1).0], "flush", "data before login");
    assert!(bed.sent(1).is_empty());
    for garbage in [
        &b"\0\x02UY"[..],
        b"\0\x03UQQ",
        b"\xff\xffU",
        b"\0\0",
        b"\0\x01A",
    ] {
        let mut bed = Bed::new();
        bed.log_in(0, 1, 1);
        bed.sent(0);
        assert_eq!(bed.feed(0, garbage), garbage.len());
        let answer = bed.sent(0);
        assert_eq!(
            answer[2], b'+',
            "{garbage:?} is named before the close: {answer:?}"
        );
        assert_eq!(bed.wait_record(), (Kind::DISCONNECT, SESSION.0, 1));
        bed.gateway.handle_closed(id(0), false);
        bed.work();
        assert_eq!(bed.next_record(), None, "one disconnect, not two");
    }
}

#[test]
fn a_full_ring_holds_the_client_back_and_loses_nothing() {
    let mut bed = Bed::new();
    bed.log_in(0, 1, 1);
    let packets: Vec<u8> = QUERY.repeat(5000);
    let (mut offered, mut taken) = (0, 0);
    loop {
        offered += bed.feed(0, &packets[offered..]);
        if offered == packets.len() {
            break;
        }
        assert_eq!(bed.out.paused.get(&id(0).0), Some(&true), "stopped reading");
        while bed.next_record().is_some() {
            taken += 1;
        }
        bed.work();
        assert_eq!(bed.out.paused.get(&id(0).0), Some(&false), "reads again");
    }
    while bed.next_record().is_some() {
        taken += 1;
    }
    assert_eq!(taken, 5000);
}

#[test]
fn a_slow_client_is_served_from_its_stream_without_gap_or_double() {
    let mut bed = Bed::new();
    bed.log_in(0, 1, 1);
    bed.sent(0);
    let mut expected = bed.emit(60, true);
    bed.out.room.insert(id(0).0, 70);
    expected.extend(bed.emit(60, true)); // fits the last room
    for i in 0..500 {
        // The stream store lags behind the ring: some are stored only later.
        expected.extend(bed.emit(60, i % 2 == 0 || i > 300));
    }
    // Everything is stored by now, in order.
    let mut all = Vec::new();
    for chunk in expected.chunks(60) {
        all.push(chunk.to_vec());
    }
    *bed.stored.lock().unwrap() = all;
    let mut got = bed.sent(0);
    for _ in 0..100 {
        bed.out.room.insert(id(0).0, 5000);
        bed.work();
        got.extend(bed.sent(0));
    }
    assert_eq!(got, expected);
    bed.out.room.remove(&id(0).0);
    let live = bed.emit(60, false);
    assert_eq!(bed.sent(0), live, "caught up: live again");
}

#[test]
fn a_late_login_gets_what_it_lacks() {
    let mut bed = Bed::new();
    let mut expected = Vec::new();
    for i in 1..=10 {
        let packet = bed.emit(40, true);
        if i >= 4 {
            expected.extend(packet);
        }
    }
    bed.log_in(0, 1, 4);
    bed.work();
    let mut sent = bed.sent(0);
    assert_eq!(
        sent.drain(..33).as_slice(),
        b"\0\x1fA  20261121                   4"
    );
    assert_eq!(sent, expected);
}

#[test]
fn the_newest_login_wins() {
    let mut bed = Bed::new();
    bed.log_in(0, 1, 1);
    bed.sent(0);
    bed.control(&Control::ConnectionEnded {
        gateway: GatewayId(1),
        connection: id(0).0,
        session: SESSION,
        epoch: ConnectionEpoch(1),
        why: ConnectionEnd::Superseded,
    });
    assert_eq!(bed.sent(0), b"\0\x01Z");
    bed.log_in(1, 2, 1);
    bed.sent(1);
    bed.gateway.handle_closed(id(0), false);
    bed.work();
    assert_eq!(
        bed.next_record(),
        None,
        "the superseded connection's end is nobody's disconnect"
    );
    let packet = bed.emit(50, true);
    assert_eq!(bed.sent(1), packet);
}

#[test]
fn a_connection_lost_before_its_login_was_committed_is_disconnected_again() {
    let mut bed = Bed::new();
    bed.accept(0);
    bed.feed(0, &login_packet("alice", "secret", 1));
    bed.wait_record();
    bed.gateway.handle_closed(id(0), false);
    bed.control(&accepted(0, 7, 1, 1));
    assert_eq!(bed.wait_record(), (Kind::DISCONNECT, SESSION.0, 7));
}

#[test]
fn silence_is_broken_by_heartbeats_and_ended_by_the_time_out() {
    const S: u64 = 1_000_000_000;
    let mut bed = Bed::new();
    bed.log_in(0, 1, 1);
    bed.sent(0);
    let mut heartbeats = 0;
    for second in 1..=14 {
        bed.now_ns = second * S + S / 2;
        for _ in 0..10 {
            bed.now_ns += S / 100;
            bed.work();
        }
        heartbeats += bed.sent(0).len() / 3;
    }
    assert!(
        (13..=14).contains(&heartbeats),
        "{heartbeats} heartbeats in 14 s of silence"
    );
    bed.now_ns = 16 * S;
    bed.work();
    assert_eq!(bed.out.closed[&id(0).0], "now");
    assert_eq!(bed.wait_record(), (Kind::DISCONNECT, SESSION.0, 1));
}

#[test]
fn the_day_ends_with_z_once_the_client_has_everything() {
    let mut bed = Bed::new();
    bed.log_in(0, 1, 1);
    bed.sent(0);
    bed.out.room.insert(id(0).0, 10);
    let last = bed.emit(60, true);
    bed.control(&Control::DayClosed { session_name: NAME });
    assert!(
        bed.out.closed.is_empty(),
        "the last message has not been sent yet"
    );
    bed.out.room.remove(&id(0).0);
    bed.work();
    bed.work();
    let mut expected = last;
    expected.extend(b"\0\x01Z");
    assert_eq!(bed.sent(0), expected);
    assert_eq!(bed.out.closed[&id(0).0], "flush");
}

#[test]
fn a_logout_is_put_in_order_before_the_close() {
    let mut bed = Bed::new();
    bed.log_in(0, 1, 1);
    bed.sent(0);
    bed.feed(0, b"\0\x01O");
    assert_eq!(bed.next_record(), Some((Kind::LOGOUT, SESSION.0, 1)));
    bed.control(&Control::ConnectionEnded {
        gateway: GatewayId(1),
        connection: id(0).0,
        session: SESSION,
        epoch: ConnectionEpoch(1),
        why: ConnectionEnd::Logout,
    });
    assert!(bed.sent(0).is_empty());
    assert_eq!(bed.out.closed[&id(0).0], "flush");
}
