//! Interval logs (`.hlog`), as HdrHistogram's log processors and viewers read them.
//!
//! ```text
//! #lockstep bench: latencies in ns
//! #[StartTime: 0.000 (seconds since epoch)]
//! START.sss,LENGTH.sss,MAX.mmm,HISTFAAA…      a line an interval; seconds since the span began
//! ```
//! MAX is in ms, as is usual. The histogram is HdrHistogram's V2 encoding, zlib'd, in base 64. Times are relative to the
//! measured span: the log of one seed is the same whenever it ran, but for its latencies.

use super::latency::Latency;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, IntervalLogWriterError};
use std::io::{self, Write};
use std::time::{Duration, SystemTime};

/// `#[MaxValue]` of a log line: from ns to ms.
const MAX_VALUE_DIVISOR: f64 = 1e6;

/// Writes one line for each (start, length, latencies).
pub fn write_hlog<'a>(
    intervals: impl Iterator<Item = (Duration, Duration, &'a Latency)>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut serializer = V2DeflateSerializer::new();
    let mut out = out;
    let mut builder = IntervalLogWriterBuilder::new();
    builder
        .add_comment("lockstep bench: latencies in ns")
        .with_start_time(SystemTime::UNIX_EPOCH)
        .with_max_value_divisor(MAX_VALUE_DIVISOR);
    let mut log = builder.begin_log_with(&mut out, &mut serializer)?;
    for (start, length, latency) in intervals {
        log.write_histogram(latency.histogram(), start, length, None)
            .map_err(|error| match error {
                IntervalLogWriterError::IoError(error) => error,
                other => io::Error::other(format!("{other:?}")),
            })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    /// The second reader: knows the format only from its description, and nothing of the library.
    struct Line {
        start_ms: u64,
        length_ms: u64,
        max_ms: f64,
        /// (index of a count, count)
        counts: Vec<(usize, u64)>,
    }

    fn from_base64(text: &str) -> Vec<u8> {
        let (mut bits, mut held, mut out) = (0_u32, 0, Vec::new());
        for letter in text.bytes().filter(|letter| *letter != b'=') {
            let six = match letter {
                b'A'..=b'Z' => letter - b'A',
                b'a'..=b'z' => letter - b'a' + 26,
                b'0'..=b'9' => letter - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                other => panic!("{other} is no base 64"),
            };
            bits = bits << 6 | u32::from(six);
            held += 6;
            if held >= 8 {
                held -= 8;
                out.push((bits >> held) as u8);
            }
        }
        out
    }

    fn word(bytes: &[u8], at: usize) -> u32 {
        u32::from_be_bytes(bytes[at..at + 4].try_into().expect("4 bytes"))
    }

    /// One ZigZag LEB128-64b9B number; the ninth byte carries eight bits.
    fn number(bytes: &mut &[u8]) -> i64 {
        let mut value = 0_u64;
        for place in 0..9 {
            let byte = bytes[0];
            *bytes = &bytes[1..];
            if place == 8 {
                value |= u64::from(byte) << 56;
                break;
            }
            value |= u64::from(byte & 0x7F) << (7 * place);
            if byte & 0x80 == 0 {
                break;
            }
        }
        (value >> 1) as i64 ^ -((value & 1) as i64)
    }

    fn counts(histogram: &str) -> Vec<(usize, u64)> {
        let outer = from_base64(histogram);
        assert_eq!(word(&outer, 0), 0x1C84_9314, "compressed V2 cookie");
        assert_eq!(word(&outer, 4) as usize, outer.len() - 8);
        let mut inner = Vec::new();
        flate2::read::ZlibDecoder::new(&outer[8..])
            .read_to_end(&mut inner)
            .expect("zlib");
        assert_eq!(word(&inner, 0), 0x1C84_9313, "V2 cookie");
        assert_eq!(word(&inner, 8), 0, "no normalising offset");
        assert_eq!(word(&inner, 12), 3, "significant digits");
        let mut payload = &inner[40..40 + word(&inner, 4) as usize];
        let (mut at, mut counts) = (0, Vec::new());
        while !payload.is_empty() {
            match number(&mut payload) {
                zeros if zeros < 0 => at += zeros.unsigned_abs() as usize,
                count => {
                    counts.push((at, count as u64));
                    at += 1;
                }
            }
        }
        counts
    }

    fn ms(text: &str) -> u64 {
        let (whole, decimals) = text.split_once('.').expect("a decimal point");
        let decimals = format!("{decimals:0<3}");
        whole.parse::<u64>().expect("s") * 1000 + decimals[..3].parse::<u64>().expect("ms")
    }

    fn read(text: &str) -> Vec<Line> {
        let mut lines = Vec::new();
        for line in text.lines() {
            if line.starts_with('#') || line.starts_with('"') {
                continue;
            }
            let fields: Vec<_> = line.split(',').collect();
            let [start, length, max, histogram] = fields.as_slice() else {
                panic!("{line}");
            };
            lines.push(Line {
                start_ms: ms(start),
                length_ms: ms(length),
                max_ms: max.parse().expect("max"),
                counts: counts(histogram),
            });
        }
        lines
    }

    /// First value that counts at `index`, of a histogram from 1 with three digits: 2048 sub-buckets.
    fn value_at(index: usize) -> u64 {
        let bucket = (index >> 10).saturating_sub(1);
        let sub = if index < 2048 {
            index
        } else {
            (index & 1023) + 1024
        };
        (sub as u64) << bucket
    }

    #[test]
    fn every_interval_says_what_was_recorded() {
        let values: Vec<Vec<u64>> = vec![
            (0..5_000_u64).map(|i| 800 + i * i % 90_001).collect(),
            Vec::new(),
            vec![1, 2047, 2048, 2_500_000],
        ];
        let latencies: Vec<_> = values
            .iter()
            .map(|values| {
                let mut latency = Latency::new();
                values.iter().for_each(|value| latency.record(*value));
                latency
            })
            .collect();
        let length = Duration::from_millis(250);
        let pieces = (0..).zip(&latencies).map(|(i, l)| (length * i, length, l));
        let mut text = Vec::new();
        write_hlog(pieces, &mut text).expect("memory");
        let text = String::from_utf8(text).expect("text");
        assert!(
            text.starts_with("#lockstep bench: latencies in ns"),
            "{text}"
        );
        let lines = read(&text);
        assert_eq!(lines.len(), 3, "{text}");
        for ((i, line), values) in (0_u64..).zip(&lines).zip(&values) {
            assert_eq!((line.start_ms, line.length_ms), (i * 250, 250));
            let mut sorted = values.clone();
            sorted.sort_unstable();
            // The values that the file's counts stand for, one for each recorded, in order.
            let told: Vec<u64> = line
                .counts
                .iter()
                .flat_map(|(at, count)| (0..*count).map(|_| value_at(*at)))
                .collect();
            assert_eq!(told.len(), sorted.len());
            for (told, value) in told.iter().zip(&sorted) {
                assert!(value - told <= value / 1000, "{told} for {value}");
            }
            let max = sorted.last().copied().unwrap_or(0) as f64 / 1e6;
            assert!(
                (line.max_ms - max).abs() <= max / 500.0 + 0.001,
                "{}",
                line.max_ms
            );
        }
    }
}
