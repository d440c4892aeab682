//! What the crate promises, seen from outside: one file a promise.

mod document;
mod events;
mod golden_inbound;
mod golden_outbound;
mod illegal;
mod records;
mod round_trip;
mod sessions;
mod splits;
mod violations;

use lockstep_record::{ConnectionEpoch, Gateway, RECORD_LENGTH_MAX, Record, SessionId, Source};
use lockstep_wire::ouch::Inbound;
use proptest::prelude::ProptestConfig;

/// More cases than proptest's own number: they are cheap here. `PROPTEST_CASES` asks for more still.
fn many_cases() -> ProptestConfig {
    let default = ProptestConfig::default();
    ProptestConfig {
        cases: default.cases.max(4096),
        ..default
    }
}

/// Bytes written by hand, field by field.
fn concat(fields: &[&[u8]]) -> Vec<u8> {
    fields.concat()
}

fn source() -> Source {
    Source {
        session: SessionId(3),
        epoch: ConnectionEpoch(9),
        gateway: Gateway(1),
    }
}

/// Memory of a record: the journal's alignment.
#[repr(align(8))]
struct RecordBuffer([u8; RECORD_LENGTH_MAX]);

impl RecordBuffer {
    /// The message as a record; the rest of the memory stays as it was.
    fn written(message: &Inbound<'_>) -> (Self, usize) {
        let mut buffer = Self([0xEE; RECORD_LENGTH_MAX]);
        let length = message.write_record(source(), &mut buffer.0);
        assert_eq!(length, message.record_length());
        assert!(buffer.0[length..].iter().all(|&byte| byte == 0xEE));
        (buffer, length)
    }

    fn record(&self, length: usize) -> Record<'_> {
        let (record, rest) = Record::parse(&self.0[..length]).expect("a record of legal form");
        assert!(rest.is_empty());
        assert_eq!(record.header().source, source());
        record
    }
}
