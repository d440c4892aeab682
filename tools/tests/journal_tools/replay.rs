//! `journal replay`: to the end, to a sequence, with and without the log buffer.

use crate::fixture::{Made, begin, forge, hex, run_on, stopped};
use lockstep_bench::replay::builder::Records;
use lockstep_record::batch::BatchKind;
use lockstep_record::command::{CancelOrder, EnterOrder};
use lockstep_record::event::{Control, Delivery, Event, EventSink, NullSink};
use lockstep_record::{ConnectionEpoch, Gateway, RecordWriter, SessionId, Side, Source};
use lockstep_wire::ouch::{SEQUENCED_LENGTH_MAX, encode_sequenced};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

#[test]
fn a_replay_leads_to_the_state_that_was() {
    let made = stopped();
    let arguments = [
        "replay",
        "{dir}",
        "--json",
        "--books",
        "--orders",
        "--sessions",
    ];
    let (code, seen) = made.json(&arguments);
    let machine = &made.machine;
    assert_eq!(code, 0);
    assert_eq!(seen["state_hash"], hex(&machine.state_hash()));
    assert_eq!(seen["digest"], format!("{:016x}", machine.digest()));
    assert_eq!(seen["sequence"], machine.last_sequence().0);
    assert_eq!(seen["day"]["date"], 20_260_102);
    assert_eq!(seen["outcome"], "clean_stop");
    assert!(seen["digests_compared"].as_u64().unwrap() > 50);
    let sessions = seen["sessions"].as_array().unwrap();
    assert_eq!(sessions.len(), 4);
    for (row, session) in sessions.iter().zip(machine.sessions()) {
        assert_eq!(row["next_outbound"], session.next_outbound.0);
    }
    for (book, instrument) in seen["books"]
        .as_array()
        .unwrap()
        .iter()
        .zip(machine.instruments())
    {
        let bids: Vec<_> = machine.depth(instrument.instrument, Side::Buy).collect();
        let rows = book["bids"].as_array().unwrap();
        assert!(!bids.is_empty() && rows.len() == bids.len());
        for (row, level) in rows.iter().zip(bids) {
            assert_eq!(row["price"], level.price.0);
            assert_eq!(row["quantity"], level.quantity);
        }
    }
    assert_eq!(
        seen["orders"].as_array().unwrap().len() as u32,
        machine.open_order_count()
    );
    let text = made.run(&["replay", "{dir}", "--books", "--orders", "--sessions"]);
    assert_eq!(text.code, 0);
    assert!(text.out.contains(&hex(&machine.state_hash())) && text.out.contains("LKSA"));
}

/// Two histories that differ in one batch: the second has only the first records of it. Stopping the first
/// in the middle of that batch gives the second's state, all of it.
#[test]
fn a_replay_stops_in_the_middle_of_a_batch() {
    let source = Source {
        session: SessionId(1),
        epoch: ConnectionEpoch(1),
        gateway: Gateway(1),
    };
    let records = |count: u32| {
        let mut records = Records::default();
        for number in 0..count {
            let order = EnterOrder {
                price: 1_000_000 + 100 * u64::from(number % 2),
                symbol: *b"LKSA    ",
                user_ref_num: number + 1,
                quantity: 100,
                side: if number % 3 == 2 { b'S' } else { b'B' },
                time_in_force: b'0',
                display: b'Y',
                capacity: b'A',
                intermarket_sweep: b'N',
                cross_type: b'N',
                client_order_id: [b' '; 14],
                _reserved: [0; 4],
            };
            records.push(|out| RecordWriter::new(out, source, &order).finish());
        }
        records
    };
    let history = |count: u32| -> Made {
        let mut making = begin(&mut NullSink);
        let batch = records(count);
        making
            .builder
            .append(BatchKind::Commands, &batch, &mut NullSink)
            .unwrap();
        making.builder.drain().unwrap();
        making.kill()
    };
    let whole = history(9);
    let before = whole.machine.last_sequence().0 - 9;
    let mut hashes = std::collections::HashSet::new();
    for count in 0..=9 {
        let until = (before + u64::from(count)).to_string();
        let (code, seen) = whole.json(&["replay", "{dir}", "--json", "--until", &until]);
        assert_eq!(code, 0, "{seen}");
        assert_eq!(seen["sequence"].to_string(), until);
        if count > 0 {
            let expected = history(count).machine;
            assert_eq!(seen["state_hash"], hex(&expected.state_hash()), "{count}");
        }
        let cut = (1..9).contains(&count);
        assert_eq!(
            seen["cut_batch"]["applied"],
            if cut { count.into() } else { Value::Null }
        );
        hashes.insert(seen["state_hash"].to_string());
    }
    assert_eq!(hashes.len(), 10, "every record changed the state");
    let (code, seen) = whole.json(&["replay", "{dir}", "--json", "--until", "0"]);
    assert_eq!((code, &seen["sequence"]), (0, &Value::from(0)));
    let beyond = whole.run(&["replay", "{dir}", "--until", "100000"]);
    assert_eq!(beyond.code, 1);
    assert!(beyond.err.contains("before 100000"), "{}", beyond.err);
}

/// The state as of a moment: that of the last batch that is not later.
#[test]
fn a_replay_stops_at_a_time() {
    let made = stopped();
    let batches = made.batches();
    let at = batches[batches.len() / 2].header;
    let last = (at.next_sequence() - 1).to_string();
    let (_, expected) = made.json(&["replay", "{dir}", "--json", "--until", &last]);
    for time in [at.timestamp, at.timestamp + 1] {
        let time = time.to_string();
        let (code, seen) = made.json(&["replay", "{dir}", "--json", "--until-time", &time]);
        assert_eq!((code, &seen["index"]), (0, &at.index.into()));
        assert_eq!(seen["state_hash"], expected["state_hash"]);
    }
    let before = (at.timestamp - 1).to_string();
    let (code, seen) = made.json(&["replay", "{dir}", "--json", "--until-time", &before]);
    assert_eq!((code, &seen["index"]), (0, &(at.index - 1).into()));
    let (code, seen) = made.json(&["replay", "{dir}", "--json", "--until-time", "2030-01-01"]);
    assert_eq!((code, &seen["outcome"]), (0, &"clean_stop".into()));
    assert_eq!(seen["state_hash"], hex(&made.machine.state_hash()));
}

#[test]
fn what_only_the_log_buffer_holds_is_included_and_said() {
    let mut making = begin(&mut NullSink);
    making.batches(20, &mut NullSink);
    making.builder.drain().unwrap();
    let on_disk = making.builder.machine.last_sequence().0;
    let disk_hash = hex(&making.builder.machine.state_hash());
    making.batches(7, &mut NullSink);
    let made = making.kill();
    let all = ["replay", "{dir}", "--json", "--log-buffer", "{log}"];
    let (code, seen) = made.json(&all);
    assert_eq!(code, 0, "{seen}");
    assert_eq!(seen["log_buffer_batches"], 7);
    assert_eq!(seen["state_hash"], hex(&made.machine.state_hash()));
    let text = made.run(&["replay", "{dir}", "--log-buffer", "{log}"]);
    assert!(text.out.contains("from log buffer") && text.out.contains("7 batches"));
    let mut only = all.to_vec();
    only.push("--segments-only");
    let (code, seen) = made.json(&only);
    assert_eq!(code, 0);
    assert_eq!(seen["sequence"], on_disk);
    assert_eq!(seen["state_hash"], disk_hash);
    assert_eq!(seen["log_buffer_batches"], 0);
    // In the middle of what only the log buffer holds.
    let until = (on_disk + 3).to_string();
    let mut middle = all.to_vec();
    middle.extend(["--until", &until]);
    let (code, seen) = made.json(&middle);
    assert_eq!((code, seen["sequence"].to_string()), (0, until));
    // Another journal's log buffer is left alone, and that is said.
    let other = stopped();
    let foreign = made.log_buffer();
    let ran = other.run(&[
        "inspect",
        "{dir}",
        "--log-buffer",
        foreign.to_str().unwrap(),
    ]);
    assert_eq!(ran.code, 0);
    assert!(ran.out.contains("belongs to journal"), "{}", ran.out);
    let (code, seen) = other.json(&[
        "replay",
        "{dir}",
        "--json",
        "--log-buffer",
        foreign.to_str().unwrap(),
    ]);
    assert_eq!(code, 0);
    assert_eq!(seen["state_hash"], hex(&other.machine.state_hash()));
}

#[test]
fn a_live_journal_replays_to_what_is_published() {
    let mut making = begin(&mut NullSink);
    making.batches(20, &mut NullSink);
    making.builder.drain().unwrap();
    making.batches(4, &mut NullSink);
    let arguments = ["replay", "{dir}", "--json", "--log-buffer", "{log}"];
    let ran = run_on(making.directory.path(), &arguments);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let seen: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(seen["outcome"], "live");
    assert_eq!(
        seen["state_hash"],
        hex(&making.builder.machine.state_hash())
    );
}

/// What clients were sent, kept as it happened.
#[derive(Default)]
struct Sent(BTreeMap<u32, Vec<u8>>);

impl EventSink for Sent {
    fn deliver(&mut self, to: &Delivery, event: Event<'_>) {
        let mut packet = [0; SEQUENCED_LENGTH_MAX];
        let length = encode_sequenced(to, &event, &mut packet);
        self.0
            .entry(to.session.0)
            .or_default()
            .extend(&packet[..length]);
    }
    fn control(&mut self, _: &Control) {}
}

#[test]
fn streams_are_regenerated_byte_for_byte() {
    let mut sent = Sent::default();
    let mut making = begin(&mut sent);
    making.batches(20, &mut sent);
    let made = making.stop();
    let (code, seen) = made.json(&["replay", "{dir}", "--json", "--streams"]);
    assert_eq!(code, 0);
    let streams = seen["streams"].as_array().unwrap();
    assert_eq!(streams.len(), sent.0.len());
    for (row, (session, bytes)) in streams.iter().zip(&sent.0) {
        assert_eq!(row["session"], *session);
        assert_eq!(row["bytes"], bytes.len());
        assert!(row["last_number"].as_u64().unwrap() > 20);
        assert_eq!(row["sha256"], hex(&Sha256::digest(bytes)));
    }
}

/// A state machine that disagrees with the log it wrote: exit code 19, from replay and from verify.
#[test]
fn a_digest_that_does_not_hold_is_a_divergence() {
    let made = stopped();
    let last = *made.batches().last().unwrap();
    made.patch(last.segment, |file| {
        forge(file, last, |header, _| header.digest ^= 1)
    });
    let replay = made.run(&["replay", "{dir}"]);
    assert_eq!(replay.code, 19, "{}", replay.err);
    assert!(replay.err.contains("diverged"), "{}", replay.err);
    assert_eq!(made.run(&["verify", "{dir}"]).code, 0);
    let (code, seen) = made.json(&["verify", "{dir}", "--replay", "--json"]);
    assert_eq!(code, 19);
    let finding = &seen["findings"][0];
    assert_eq!(
        (&finding["kind"], &finding["index"]),
        (&"replay".into(), &last.header.index.into())
    );
}

/// A record of a kind that nobody knows and that says *halt*: stop, do not guess.
#[test]
fn a_record_that_says_halt_stops_the_replay_before_it() {
    let mut making = begin(&mut NullSink);
    let mut records = Records::default();
    let cancel = CancelOrder {
        user_ref_num: 1,
        quantity: 0,
    };
    records.push(|out| RecordWriter::new(out, Source::default(), &cancel).finish());
    making
        .builder
        .append(BatchKind::Commands, &records, &mut NullSink)
        .unwrap();
    making.builder.drain().unwrap();
    let made = making.kill();
    let last = *made.batches().last().unwrap();
    made.patch(last.segment, |file| {
        forge(file, last, |_, body| {
            body[4..6].copy_from_slice(&999u16.to_le_bytes());
            body[7] = 2;
        });
    });
    let ran = made.run(&["replay", "{dir}"]);
    assert_eq!(ran.code, 17, "{}", ran.err);
    assert!(ran.err.contains("999"), "{}", ran.err);
    let shown = made.run(&["inspect", "{dir}", "--records", "--kind", "999"]);
    assert!(
        shown.out.contains("kind_999") && shown.out.contains("body="),
        "{}",
        shown.out
    );
}

/// A record of a kind that nobody knows is skipped or refused, as it says itself; nothing else changes.
#[test]
fn a_record_of_an_unknown_kind_does_what_its_policy_says() {
    let mut making = begin(&mut NullSink);
    making.batches(3, &mut NullSink);
    let before = making.builder.machine.counters();
    let mut records = Records::default();
    let cancel = CancelOrder {
        user_ref_num: 1,
        quantity: 0,
    };
    for _ in 0..2 {
        records.push(|out| RecordWriter::new(out, Source::default(), &cancel).finish());
    }
    making
        .builder
        .append(BatchKind::Commands, &records, &mut NullSink)
        .unwrap();
    making.builder.drain().unwrap();
    let made = making.kill();
    let last = *made.batches().last().unwrap();
    for (policy, refused) in [(1, 0), (0, 1)] {
        made.patch(last.segment, |file| {
            forge(file, last, |_, body| {
                body[4..6].copy_from_slice(&999u16.to_le_bytes());
                body[7] = policy;
            });
        });
        let (code, seen) = made.json(&["replay", "{dir}", "--json"]);
        assert_eq!(code, 0, "{seen}");
        assert_eq!(seen["sequence"], last.header.next_sequence() - 1);
        // The second record is a cancel of session 0, which no connection holds: stale.
        assert_eq!(seen["counters"]["refused"], before.refused + refused);
        assert_eq!(seen["counters"]["stale"], before.stale + 1);
    }
    let verified = made.run(&["verify", "{dir}", "--replay"]);
    assert_eq!(verified.code, 0, "{}", verified.err);
}
