//! `journal trace`: the life of an order under each of its names.

use crate::fixture::{Made, begin};
use lockstep_bench::replay::builder::Records;
use lockstep_record::batch::BatchKind;
use lockstep_record::command::{CancelOrder, EnterOrder, ReplaceOrder};
use lockstep_record::event::{Control, Delivery, Event, EventSink, NullSink};
use lockstep_record::{Body, ConnectionEpoch, Gateway, RecordWriter, SessionId, Source};
use serde_json::Value;
use std::collections::HashMap;

fn put<B: Body>(records: &mut Records, session: u32, body: &B) {
    let source = Source {
        session: SessionId(session),
        epoch: ConnectionEpoch(1),
        gateway: Gateway(1),
    };
    records.push(|out| RecordWriter::new(out, source, body).finish());
}

fn enter(number: u32, side: u8, quantity: u32, id: &[u8; 14]) -> EnterOrder {
    EnterOrder {
        price: 1_000_000,
        symbol: *b"LKSA    ",
        user_ref_num: number,
        quantity,
        side,
        time_in_force: b'0',
        display: b'Y',
        capacity: b'A',
        intermarket_sweep: b'N',
        cross_type: b'N',
        client_order_id: *id,
        _reserved: [0; 4],
    }
}

fn replace(original: u32, number: u32, quantity: u32) -> ReplaceOrder {
    ReplaceOrder {
        price: 1_000_000,
        original_user_ref_num: original,
        user_ref_num: number,
        quantity,
        time_in_force: b'0',
        display: b'Y',
        intermarket_sweep: b'N',
        client_order_id: *b"CHAIN-B       ",
        _reserved: [0; 3],
    }
}

/// Order 1 of session 1 is replaced by 2 and 3, trades in between, is reduced and cancelled; others beside it.
fn chain() -> Made {
    let mut making = begin(&mut NullSink);
    let mut batch = |session: u32, write: &dyn Fn(&mut Records, u32)| {
        let mut records = Records::default();
        write(&mut records, session);
        let kind = BatchKind::Commands;
        making
            .builder
            .append(kind, &records, &mut NullSink)
            .unwrap();
    };
    let cancel = |number, quantity| CancelOrder {
        user_ref_num: number,
        quantity,
    };
    batch(1, &|r, s| {
        put(r, s, &enter(1, b'B', 500, b"CHAIN-A       "))
    });
    batch(3, &|r, s| {
        put(r, s, &enter(1, b'B', 500, b"OTHER         "))
    });
    batch(2, &|r, s| {
        put(r, s, &enter(1, b'S', 200, b"AGGRESSOR     "))
    });
    batch(1, &|r, s| put(r, s, &replace(1, 2, 600)));
    batch(1, &|r, s| put(r, s, &cancel(1, 0)));
    batch(1, &|r, s| put(r, s, &cancel(2, 500)));
    batch(1, &|r, s| put(r, s, &replace(2, 3, 800)));
    batch(1, &|r, s| put(r, s, &replace(3, 3, 800)));
    batch(1, &|r, s| put(r, s, &cancel(3, 0)));
    making.builder.drain().unwrap();
    making.kill()
}

fn trace(made: &Made, name: &str) -> Vec<Value> {
    let ran = made.run(&["trace", "{dir}", name, "--json"]);
    assert_eq!(ran.code, 0, "{name}: {}", ran.err);
    let lines = ran.out.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn a_life_is_told_alike_under_each_of_its_names() {
    let made = chain();
    let told = trace(&made, "1:1");
    let what: Vec<String> = told
        .iter()
        .map(|line| {
            let name = if line["what"] == "command" {
                &line["kind"]
            } else {
                &line["event"]
            };
            name.as_str().unwrap().to_owned()
        })
        .collect();
    let expected = [
        "enter_order",
        "accepted",
        "executed",
        "replace_order",
        "replaced",
        "cancel_order",
        "cancel_order",
        "canceled",
        "replace_order",
        "replaced",
        "replace_order",
        "cancel_order",
        "canceled",
    ];
    assert_eq!(what, expected);
    // Whose doing it was.
    assert_eq!(told[2]["cause"], "enter_order");
    assert_eq!(
        (&told[2]["cause_session"], &told[2]["session"]),
        (&2.into(), &1.into())
    );
    assert_eq!(told[2]["order"]["open"], 300);
    assert!(
        told.windows(2)
            .all(|two| two[0]["time_ns"].as_u64() <= two[1]["time_ns"].as_u64())
    );
    let reference = |line: &Value| line["order"]["reference"].to_string();
    let (first, middle, last) = (
        reference(&told[1]),
        reference(&told[4]),
        reference(&told[9]),
    );
    assert!(first != middle && middle != last);
    let by_match = format!("match:{}", told[2]["fields"]["match_number"]);
    for name in [
        &first,
        &middle,
        &last,
        "1:2",
        "1:0:3",
        "id:CHAIN-A",
        "id:CHAIN-B",
    ] {
        assert_eq!(trace(&made, name), told, "{name}");
    }
    // A match has two sides: the aggressor's life too.
    let both = trace(&made, &by_match);
    let others = both.iter().filter(|line| line["life"] != told[0]["life"]);
    // Its entry, its acceptance, its side of the match.
    assert_eq!(others.count(), 3);
    let text = made.run(&["trace", "{dir}", "1:1"]);
    assert_eq!((text.code, text.out.lines().count()), (0, told.len()));
    assert!(text.out.contains("by enter_order of s2"), "{}", text.out);
}

/// The requests alone, without a replay: the same commands that the trace tells.
#[test]
fn inspect_shows_the_requests_about_an_order() {
    let made = chain();
    let told = trace(&made, "1:1");
    let commands: Vec<&Value> = told
        .iter()
        .filter(|line| line["what"] == "command")
        .collect();
    let ran = made.run(&["inspect", "{dir}", "--records", "--json", "--order", "1:1"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let shown: Vec<Value> = ran
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(shown.len(), commands.len());
    for (shown, command) in shown.iter().zip(commands) {
        assert_eq!(shown["sequence"], command["sequence"]);
    }
    assert_eq!(made.run(&["inspect", "{dir}", "--order", "one"]).code, 2);
}

#[test]
fn an_order_that_nobody_entered_is_exit_code_1() {
    let made = chain();
    let ran = made.run(&["trace", "{dir}", "987654"]);
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    assert!(ran.err.contains("no such order"), "{}", ran.err);
    assert_eq!(made.run(&["trace", "{dir}", "1:2:3:4"]).code, 2);
}

/// Everything that each session was told of an order, by the order's life: the chain is followed here by
/// the events alone.
#[derive(Default)]
struct Lives {
    life_of: HashMap<(u32, u32), u64>,
    /// Stream numbers by life, and a name of the life.
    told: HashMap<u64, Vec<(u32, u64)>>,
    next: u64,
}

impl EventSink for Lives {
    fn deliver(&mut self, to: &Delivery, event: Event<'_>) {
        let session = to.session.0;
        let life = match &event {
            Event::Accepted(e) => {
                self.next += 1;
                self.life_of
                    .insert((session, e.terms.user_ref.number), self.next);
                self.next
            }
            Event::Replaced(e) => {
                let life = self.life_of[&(session, e.original)];
                self.life_of
                    .insert((session, e.terms.user_ref.number), life);
                life
            }
            Event::Executed(e) => self.life_of[&(session, e.user_ref.number)],
            Event::Canceled(e) => self.life_of[&(session, e.user_ref.number)],
            _ => return,
        };
        self.told
            .entry(life)
            .or_default()
            .push((session, to.number.0));
    }
    fn control(&mut self, _: &Control) {}
}

/// On a busy day: the longest lives, each told whole and nothing else.
#[test]
fn lives_of_a_busy_day_are_told_whole() {
    let mut lives = Lives::default();
    let mut making = begin(&mut lives);
    making.batches(40, &mut lives);
    let made = making.stop();
    let mut names: HashMap<u64, (u32, u32)> = HashMap::new();
    for (&name, &life) in &lives.life_of {
        names.entry(life).or_insert(name);
    }
    let mut longest: Vec<(&u64, &Vec<(u32, u64)>)> = lives.told.iter().collect();
    longest.sort_by_key(|(life, told)| (std::cmp::Reverse(told.len()), **life));
    assert!(longest[0].1.len() > 5, "the flow has lives worth telling");
    for (life, told) in longest.into_iter().take(6) {
        let (session, number) = names[life];
        let lines = trace(&made, &format!("{session}:{number}"));
        let events = lines.iter().filter(|line| line["what"] == "event");
        let seen: Vec<(u32, u64)> = events
            .map(|e| {
                (
                    e["session"].as_u64().unwrap() as u32,
                    e["number"].as_u64().unwrap(),
                )
            })
            .collect();
        assert_eq!(&seen, told, "{session}:{number}");
    }
}
