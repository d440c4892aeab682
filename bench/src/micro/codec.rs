//! `bench codec`: what the gateway does with one request, and the engine with one answer, without sockets.

use super::{MicroReport, Row};
use crate::client::request::{LimitOrder, encode_cancel, encode_enter, encode_replace};
use crate::measure::clock::Clock;
use crate::measure::hash::ResultHash;
use crate::measure::setting::Setting;
use crate::measure::thread::{Idle, PinError, describe, pin};
use clap::Args;
use lockstep_record::event::{CancelReason, Canceled, Delivery, Event, Executed, UserRef};
use lockstep_record::{
    ConnectionEpoch, MatchNumber, Price, Record, SessionId, Side, Source, StreamNumber,
};
use lockstep_wire::ouch::{encode_sequenced, write_command};
use lockstep_wire::soup::{encode_unsequenced, split_client};
use std::hint::black_box;

/// Messages that are coded again and again; they stay in the first-level cache, as fresh ones do.
const MESSAGES: usize = 256;
const OUT_LENGTH: usize = 512;

#[derive(Clone, Debug, Args)]
pub struct CodecArgs {
    /// Operations of a round.
    #[arg(long, default_value_t = 5_000_000, value_parser = clap::value_parser!(u64).range(1_000..=1 << 36))]
    pub operations: u64,
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: u32,
    /// Pin to this core.
    #[arg(long)]
    pub core: Option<usize>,
    /// One JSON object instead of the table.
    #[arg(long)]
    pub json: bool,
}

/// Runs the rows interleaved, round by round.
pub fn run(arguments: &CodecArgs) -> Result<MicroReport, PinError> {
    if let Some(core) = arguments.core {
        pin(core)?;
    }
    let setting = Setting::new("none", "none", &describe(arguments.core, Idle::Spin));
    let count = arguments.operations;
    let packets = packets();
    let mut rows = vec![
        Row::new("copy a request (baseline)", count),
        Row::new("request: frame, parse, record", count),
        Row::new("record: check the header and body", count),
        Row::new("answer: Executed, framed", count),
        Row::new("answer: Canceled, framed", count),
    ];
    let records: Vec<AlignedRecord> = packets.iter().map(|p| AlignedRecord::of(p)).collect();
    let numbers = 0..MESSAGES as u32;
    let executed: Vec<Executed> = numbers.clone().map(executed).collect();
    let canceled: Vec<Canceled> = numbers.map(canceled).collect();
    for _ in 0..arguments.rounds {
        time(&mut rows[0], |at, out| copy(&packets[at], out));
        time(&mut rows[1], |at, out| decode(&packets[at], out));
        time(&mut rows[2], |at, _| check(records[at].bytes()));
        time(&mut rows[3], |at, out| {
            encode_sequenced(&delivery(at), &Event::Executed(&executed[at]), out)
        });
        time(&mut rows[4], |at, out| {
            encode_sequenced(&delivery(at), &Event::Canceled(&canceled[at]), out)
        });
    }
    Ok(MicroReport {
        bench: "codec",
        setting,
        rows,
    })
}

/// One round: `operation(number of the message, output)` returns the length it produced.
///
/// A function of its own for each operation: inlined into its caller, and that into the command line's, its loop had
/// other instructions whenever a command was added.
#[inline(never)]
fn time(row: &mut Row, operation: impl Fn(usize, &mut [u8]) -> usize) {
    let mut out = [0u8; OUT_LENGTH];
    let mut hash = ResultHash::default();
    for at in 0..MESSAGES {
        let length = operation(at, &mut out);
        hash.bytes(&out[..length.min(OUT_LENGTH)]);
    }
    let clock = Clock::start();
    let begun_ns = clock.now_ns();
    let mut total = 0;
    for number in 0..row.operations {
        total += operation(number as usize % MESSAGES, black_box(&mut out));
    }
    let elapsed_ns = clock.now_ns() - begun_ns;
    hash.number(black_box(total) as u64);
    row.round(elapsed_ns, hash);
}

/// Framed requests: eight in ten enter, one cancels, one replaces.
fn packets() -> Vec<Vec<u8>> {
    let mut out = [0u8; OUT_LENGTH];
    (0..MESSAGES as u32)
        .map(|number| {
            let mut payload = [0u8; OUT_LENGTH];
            let price = Price(1_000_000 + u64::from(number) * 100);
            let length = match number % 10 {
                8 => encode_cancel(number, 0, &mut payload),
                9 => encode_replace(number, number + 1, 200, price, &mut payload),
                _ => encode_enter(&order(number, price), &mut payload),
            };
            let whole = encode_unsequenced(&payload[..length], &mut out);
            out[..whole].to_vec()
        })
        .collect()
}

fn order(number: u32, price: Price) -> LimitOrder {
    LimitOrder {
        user_ref: number,
        side: if number.is_multiple_of(2) {
            Side::Buy
        } else {
            Side::Sell
        },
        quantity: 100,
        symbol: *b"LOCK    ",
        price,
        is_immediate: false,
    }
}

fn source() -> Source {
    Source {
        session: SessionId(7),
        epoch: ConnectionEpoch(3),
        ..Source::default()
    }
}

#[inline]
fn copy(packet: &[u8], out: &mut [u8]) -> usize {
    out[..packet.len()].copy_from_slice(packet);
    packet.len()
}

/// The gateway's work on one packet.
#[inline]
fn decode(packet: &[u8], out: &mut [u8]) -> usize {
    let Ok(Some(frame)) = split_client(packet) else {
        unreachable!("made whole above")
    };
    write_command(frame.payload, source(), out).unwrap_or_else(|_| unreachable!("made legal"))
}

/// A record where records stand: 8-aligned.
#[derive(Debug)]
struct AlignedRecord {
    bytes: Vec<u8>,
    start: usize,
}

impl AlignedRecord {
    fn of(packet: &[u8]) -> Self {
        let mut bytes = vec![0; OUT_LENGTH + 8];
        let start = bytes.as_ptr().align_offset(8);
        let length = decode(packet, &mut bytes[start..]);
        bytes.truncate(start + length);
        Self { bytes, start }
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }
}

/// The state machine's first look at a record.
#[inline]
fn check(record: &[u8]) -> usize {
    let (record, _) = Record::parse(record).unwrap_or_else(|_| unreachable!("made legal"));
    usize::from(black_box(record.header().kind.0))
}

fn delivery(at: usize) -> Delivery {
    Delivery {
        session: SessionId(7),
        number: StreamNumber(at as u64 + 1),
        time_ns: 34_200_000_000_000 + at as u64,
    }
}

fn executed(number: u32) -> Executed {
    Executed {
        user_ref: UserRef { number, index: 0 },
        quantity: 100,
        price: Price(1_000_000 + u64::from(number) * 100),
        liquidity: b'A',
        match_number: MatchNumber(u64::from(number) + 1),
    }
}

fn canceled(number: u32) -> Canceled {
    Canceled {
        user_ref: UserRef { number, index: 0 },
        quantity: 100,
        reason: CancelReason::User,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tiny, so that the bench cannot rot; each row is timed and does its work.
    #[test]
    fn every_row_codes_what_it_says() {
        let arguments = CodecArgs {
            operations: 1_000,
            rounds: 2,
            core: None,
            json: false,
        };
        let report = run(&arguments).expect("no core asked for");
        assert_eq!(report.rows.len(), 5);
        let mut hashes: Vec<_> = report.rows.iter().map(|r| r.result_hash.value()).collect();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), 5, "two rows did the same: {report}");
        assert!(report.rows.iter().all(|row| row.rounds_ps.len() == 2));
    }
}
