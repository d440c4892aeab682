//! From a client's message to the command record that is sequenced, journaled and applied.
//!
//! Values cross raw, legal or not: the state machine decides, so that a reject is the same on every
//! node. Each option becomes a part (`docs/journal-format.md`, "Part").

use super::appendage::{APPENDAGE_LENGTH_MAX, Appendage, ELEMENT_HEADER};
use super::error::OuchError;
use super::inbound::Inbound;
use lockstep_record::{
    Body, PART_HEADER_LENGTH, RECORD_HEADER_LENGTH, RECORD_LENGTH_MAX, RecordWriter, Source,
    command,
};

/// Longest record that a client's message becomes.
pub const COMMAND_RECORD_LENGTH_MAX: usize =
    RECORD_HEADER_LENGTH + <command::EnterOrder as Body>::LENGTH + parts_length_max();

const _: () = assert!(COMMAND_RECORD_LENGTH_MAX <= RECORD_LENGTH_MAX);
const _: () = {
    assert!(<command::ReplaceOrder as Body>::LENGTH <= <command::EnterOrder as Body>::LENGTH);
    assert!(<command::CancelOrder as Body>::LENGTH <= <command::EnterOrder as Body>::LENGTH);
    assert!(<command::ModifyOrder as Body>::LENGTH <= <command::EnterOrder as Body>::LENGTH);
    assert!(<command::MassCancel as Body>::LENGTH <= <command::EnterOrder as Body>::LENGTH);
    assert!(<command::DisableEntry as Body>::LENGTH <= <command::EnterOrder as Body>::LENGTH);
    assert!(<command::EnableEntry as Body>::LENGTH <= <command::EnterOrder as Body>::LENGTH);
    assert!(<command::AccountQuery as Body>::LENGTH <= <command::EnterOrder as Body>::LENGTH);
};

const fn part_length(width: usize) -> usize {
    PART_HEADER_LENGTH + width.next_multiple_of(8)
}

/// The most that the parts of a legal appendage can take, over all ways to fill it: the best way to
/// fill `n` bytes ends in some element, before which the rest was filled in the best way.
const fn parts_length_max() -> usize {
    let mut best = [0usize; APPENDAGE_LENGTH_MAX + 1];
    let mut filled = 1;
    while filled <= APPENDAGE_LENGTH_MAX {
        best[filled] = best[filled - 1];
        // An element's value has at most 254 bytes, but a longer one never wins: a value of 9 bytes
        // takes less than two of 1 byte.
        let mut width = 0;
        while width <= 16 && width + ELEMENT_HEADER <= filled {
            let parts = best[filled - width - ELEMENT_HEADER] + part_length(width);
            if parts > best[filled] {
                best[filled] = parts;
            }
            width += 1;
        }
        filled += 1;
    }
    best[APPENDAGE_LENGTH_MAX]
}

impl Inbound<'_> {
    /// Bytes of the record that [`write_record`](Self::write_record) writes; at most
    /// [`COMMAND_RECORD_LENGTH_MAX`].
    #[inline]
    pub fn record_length(&self) -> usize {
        let body = match self {
            Self::EnterOrder(_) => <command::EnterOrder as Body>::LENGTH,
            Self::ReplaceOrder(_) => <command::ReplaceOrder as Body>::LENGTH,
            Self::CancelOrder(_) => <command::CancelOrder as Body>::LENGTH,
            Self::ModifyOrder(_) => <command::ModifyOrder as Body>::LENGTH,
            Self::MassCancel(_) => <command::MassCancel as Body>::LENGTH,
            Self::DisableEntry(_) => <command::DisableEntry as Body>::LENGTH,
            Self::EnableEntry(_) => <command::EnableEntry as Body>::LENGTH,
            Self::AccountQuery(_) => <command::AccountQuery as Body>::LENGTH,
        };
        let parts: usize = self
            .appendage()
            .elements()
            .map(|element| part_length(element.bytes.len()))
            .sum();
        RECORD_HEADER_LENGTH + body + parts
    }

    /// Writes the message as a command record and returns its length. Panics if `out` is shorter than
    /// [`record_length`](Self::record_length).
    #[inline]
    pub fn write_record(&self, source: Source, out: &mut [u8]) -> usize {
        let options = self.appendage();
        match self {
            Self::EnterOrder(message) => {
                let body = command::EnterOrder {
                    price: message.price().0,
                    symbol: message.symbol(),
                    user_ref_num: message.user_ref_num(),
                    quantity: message.quantity(),
                    side: message.side(),
                    time_in_force: message.time_in_force(),
                    display: message.display(),
                    capacity: message.capacity(),
                    intermarket_sweep: message.intermarket_sweep(),
                    cross_type: message.cross_type(),
                    client_order_id: message.client_order_id(),
                    _reserved: [0; 4],
                };
                write(source, &body, options, out)
            }
            Self::ReplaceOrder(message) => {
                let body = command::ReplaceOrder {
                    price: message.price().0,
                    original_user_ref_num: message.original_user_ref_num(),
                    user_ref_num: message.user_ref_num(),
                    quantity: message.quantity(),
                    time_in_force: message.time_in_force(),
                    display: message.display(),
                    intermarket_sweep: message.intermarket_sweep(),
                    client_order_id: message.client_order_id(),
                    _reserved: [0; 3],
                };
                write(source, &body, options, out)
            }
            Self::CancelOrder(message) => {
                let body = command::CancelOrder {
                    user_ref_num: message.user_ref_num(),
                    quantity: message.quantity(),
                };
                write(source, &body, options, out)
            }
            Self::ModifyOrder(message) => {
                let body = command::ModifyOrder {
                    user_ref_num: message.user_ref_num(),
                    quantity: message.quantity(),
                    side: message.side(),
                    _reserved: [0; 7],
                };
                write(source, &body, options, out)
            }
            rare => rare.write_rare_record(source, out),
        }
    }

    #[cold]
    fn write_rare_record(&self, source: Source, out: &mut [u8]) -> usize {
        let options = self.appendage();
        match self {
            Self::MassCancel(message) => {
                let body = command::MassCancel {
                    user_ref_num: message.user_ref_num(),
                    firm: message.firm(),
                    symbol: message.symbol(),
                };
                write(source, &body, options, out)
            }
            Self::DisableEntry(message) => {
                let body = command::DisableEntry {
                    user_ref_num: message.user_ref_num(),
                    firm: message.firm(),
                };
                write(source, &body, options, out)
            }
            Self::EnableEntry(message) => {
                let body = command::EnableEntry {
                    user_ref_num: message.user_ref_num(),
                    firm: message.firm(),
                };
                write(source, &body, options, out)
            }
            Self::AccountQuery(_) => write(
                source,
                &command::AccountQuery { _reserved: 0 },
                options,
                out,
            ),
            Self::EnterOrder(_)
            | Self::ReplaceOrder(_)
            | Self::CancelOrder(_)
            | Self::ModifyOrder(_) => unreachable!("written by write_record"),
        }
    }
}

/// Reads a payload and writes its record: the gateway's whole work on one message.
#[inline]
pub fn write_command(payload: &[u8], source: Source, out: &mut [u8]) -> Result<usize, OuchError> {
    Inbound::parse(payload).map(|message| message.write_record(source, out))
}

#[inline(always)]
fn write<B: Body>(source: Source, body: &B, options: Appendage<'_>, out: &mut [u8]) -> usize {
    let mut writer = RecordWriter::new(out, source, body);
    if !options.is_empty() {
        write_parts(&mut writer, options);
    }
    writer.finish()
}

#[inline(never)]
fn write_parts(writer: &mut RecordWriter<'_>, options: Appendage<'_>) {
    for element in options.elements() {
        let tag = element.tag;
        let width = element.bytes.len();
        if tag.is_integer(width) {
            // No integer option is wider than 8 bytes (the tag table).
            let mut little = [0; 8];
            let little = &mut little[..width];
            little.copy_from_slice(element.bytes);
            little.reverse();
            writer.part(tag.into(), tag.policy(), little);
        } else {
            writer.part(tag.into(), tag.policy(), element.bytes);
        }
    }
}
