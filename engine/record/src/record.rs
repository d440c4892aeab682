//! Record header, extension parts, and checked access to both.
//!
//! ```text
//! record header, 24 bytes, little-endian, 8-aligned
//!   0  u32  length          whole record: header + body + parts; multiple of 8
//!   4  u16  kind
//!   6  u8   version         of the body's schema
//!   7  u8   policy          what a reader that does not know the kind must do
//!   8  u32  session         source session; 0 = operator or system
//!  12  u32  epoch           connection epoch of the source session
//!  16  u16  partition       0
//!  18  u16  gateway         which gateway wrote it; 0 = none
//!  20  u16  body_length     multiple of 8; the parts begin at 24 + body_length
//!  22  u16  reserved        0
//! part header, 8 bytes, then the value, then zeros to a multiple of 8
//!   0  u16  tag             1..=255 OUCH option tags; 256.. ours
//!   2  u8   policy
//!   3  u8   reserved        0
//!   4  u32  length          of the value, without padding
//! ```

use crate::{ConnectionEpoch, Partition, SessionId};
use thiserror::Error;

pub const RECORD_HEADER_LENGTH: usize = 24;
pub const PART_HEADER_LENGTH: usize = 8;
/// Longest record. Bounds ring slots and the smallest batch a log buffer must hold.
pub const RECORD_LENGTH_MAX: usize = 4096;

const _: () =
    assert!(RECORD_LENGTH_MAX.is_multiple_of(8) && RECORD_LENGTH_MAX <= u16::MAX as usize);

/// What a reader that does not know a kind, version or part must do with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Policy {
    /// Answer with a typed reject.
    Reject = 0,
    /// Skip it.
    Ignore = 1,
    /// Stop the node: going on would diverge.
    Halt = 2,
}

impl Policy {
    pub const fn from_u8(value: u8) -> Option<Self> {
        match value {
            0 => Some(Self::Reject),
            1 => Some(Self::Ignore),
            2 => Some(Self::Halt),
            _ => None,
        }
    }
}

/// Record kinds. A number is never given a second meaning.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Kind(pub u16);

impl Kind {
    // Session life
    pub const LOGIN: Self = Self(1);
    pub const LOGOUT: Self = Self(2);
    pub const DISCONNECT: Self = Self(3);
    // Order entry
    pub const ENTER_ORDER: Self = Self(16);
    pub const REPLACE_ORDER: Self = Self(17);
    pub const CANCEL_ORDER: Self = Self(18);
    pub const MODIFY_ORDER: Self = Self(19);
    pub const MASS_CANCEL: Self = Self(20);
    pub const DISABLE_ENTRY: Self = Self(21);
    pub const ENABLE_ENTRY: Self = Self(22);
    pub const ACCOUNT_QUERY: Self = Self(23);
    // Operator
    pub const SET_BOUNDS: Self = Self(64);
    pub const DEFINE_FIRM: Self = Self(65);
    pub const DEFINE_SESSION: Self = Self(66);
    pub const DEFINE_INSTRUMENT: Self = Self(67);
    pub const DAY_OPEN: Self = Self(68);
    pub const DAY_CLOSE: Self = Self(69);
    pub const SET_INSTRUMENT_STATE: Self = Self(70);
    pub const START_AUCTION: Self = Self(71);
    pub const SET_SCHEDULE: Self = Self(72);
    pub const SET_REFERENCE_PRICE: Self = Self(73);
    // Protection, by the operator
    pub const SET_ENTRY_STATE: Self = Self(80);
    pub const OPERATOR_MASS_CANCEL: Self = Self(81);
    pub const OPERATOR_CANCEL: Self = Self(82);
    pub const BREAK_TRADE: Self = Self(83);
    pub const SET_LIMITS: Self = Self(84);
    pub const SET_THROTTLE: Self = Self(85);
    pub const SET_PROTECTION: Self = Self(86);
    pub const RESET_PROTECTION: Self = Self(87);
    pub const SET_POSITION: Self = Self(88);
    pub const RETIRE_INSTRUMENT: Self = Self(89);
    pub const SET_RISK_BOUNDS: Self = Self(90);
    pub const SET_GRACE: Self = Self(91);

    /// The field's name for people and for JSON; `None` for a kind this build does not know.
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::LOGIN => "login",
            Self::LOGOUT => "logout",
            Self::DISCONNECT => "disconnect",
            Self::ENTER_ORDER => "enter_order",
            Self::REPLACE_ORDER => "replace_order",
            Self::CANCEL_ORDER => "cancel_order",
            Self::MODIFY_ORDER => "modify_order",
            Self::MASS_CANCEL => "mass_cancel",
            Self::DISABLE_ENTRY => "disable_entry",
            Self::ENABLE_ENTRY => "enable_entry",
            Self::ACCOUNT_QUERY => "account_query",
            Self::SET_BOUNDS => "set_bounds",
            Self::DEFINE_FIRM => "define_firm",
            Self::DEFINE_SESSION => "define_session",
            Self::DEFINE_INSTRUMENT => "define_instrument",
            Self::DAY_OPEN => "day_open",
            Self::DAY_CLOSE => "day_close",
            Self::SET_INSTRUMENT_STATE => "set_instrument_state",
            Self::START_AUCTION => "start_auction",
            Self::SET_SCHEDULE => "set_schedule",
            Self::SET_REFERENCE_PRICE => "set_reference_price",
            Self::SET_ENTRY_STATE => "set_entry_state",
            Self::OPERATOR_MASS_CANCEL => "operator_mass_cancel",
            Self::OPERATOR_CANCEL => "operator_cancel",
            Self::BREAK_TRADE => "break_trade",
            Self::SET_LIMITS => "set_limits",
            Self::SET_THROTTLE => "set_throttle",
            Self::SET_PROTECTION => "set_protection",
            Self::RESET_PROTECTION => "reset_protection",
            Self::SET_POSITION => "set_position",
            Self::RETIRE_INSTRUMENT => "retire_instrument",
            Self::SET_RISK_BOUNDS => "set_risk_bounds",
            Self::SET_GRACE => "set_grace",
            _ => return None,
        })
    }
}

/// Part tags from 256 up are ours; 1..=255 are the OUCH option tags of `ouch-5.0.md` and the venue's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PartTag(pub u16);

impl PartTag {
    // OUCH 5.0 option tags. Integer values are little-endian here, of the width the wire has.
    pub const FIRM: Self = Self(2);
    pub const MIN_QUANTITY: Self = Self(3);
    pub const CUSTOMER_TYPE: Self = Self(4);
    pub const MAX_FLOOR: Self = Self(5);
    pub const PRICE_TYPE: Self = Self(6);
    pub const PEG_OFFSET: Self = Self(7);
    pub const DISCRETION_PRICE: Self = Self(9);
    pub const DISCRETION_PRICE_TYPE: Self = Self(10);
    pub const DISCRETION_PEG_OFFSET: Self = Self(11);
    pub const POST_ONLY: Self = Self(12);
    pub const RANDOM_RESERVES: Self = Self(13);
    pub const ROUTE: Self = Self(14);
    pub const EXPIRE_TIME: Self = Self(15);
    pub const TRADE_NOW: Self = Self(16);
    pub const HANDLE_INST: Self = Self(17);
    pub const GROUP_ID: Self = Self(24);
    pub const SHARES_LOCATED: Self = Self(25);
    pub const LOCATE_BROKER: Self = Self(26);
    pub const SIDE: Self = Self(27);
    pub const USER_REF_IDX: Self = Self(28);
    // Venue tags (lockstep-choices.md)
    pub const STOP_PRICE: Self = Self(200);
    pub const STOP_KIND: Self = Self(201);
    pub const TRAIL_OFFSET: Self = Self(202);
    pub const SELF_TRADE_PREVENTION: Self = Self(203);
    pub const EXPIRE_DATE_TIME: Self = Self(204);
    // Ours
    /// UTF-8 identity of the operator who gave the command.
    pub const OPERATOR: Self = Self(256);
    /// u32 firm id that a session may enter orders for beside its own; repeatable.
    pub const PERMITTED_FIRM: Self = Self(257);
    /// u32 group of sessions whose orders do not trade with each other; of a session's definition.
    pub const SELF_TRADE_GROUP: Self = Self(258);
    /// A letter of the option `SELF_TRADE_PREVENTION`, for orders that do not say; of a session's definition.
    pub const SELF_TRADE_MODE: Self = Self(259);
    // Of an instrument's definition
    /// u32: how far from the reference price a trade may be, in 1/10,000 of it; 0 or absent = as far as it likes.
    pub const STATIC_COLLAR: Self = Self(270);
    /// u32: how far from the last trade's price, in 1/10,000 of it.
    pub const DYNAMIC_COLLAR: Self = Self(271);
    /// What an order that would trade beyond a collar causes: `R` a reject (the default), `V` a volatility
    /// auction.
    pub const COLLAR_ACTION: Self = Self(272);
    /// u32: call of the volatility auction that a collar causes, in ms.
    pub const AUCTION_DURATION: Self = Self(273);
    /// u32: it lasts up to so much longer, in ms, drawn at random.
    pub const AUCTION_RANDOM_END: Self = Self(274);
    /// u32: time between two indications of an auction's outcome, in ms; 0 or absent = only at its begin.
    pub const INDICATION_INTERVAL: Self = Self(275);
    /// u32 price from which it holds, u32 tick size there, both in 1/10,000; of an instrument's
    /// definition; repeatable, by price.
    pub const TICK_BAND: Self = Self(280);

    /// u64 that the sender chose for an operator's record; non-zero: the state machine says what became of it.
    pub const OPERATOR_REQUEST: Self = Self(320);

    /// `F` price-time, `P` pro-rata, `T` price-time with a share for the first; of an instrument's definition.
    pub const ALLOCATION: Self = Self(260);
    /// u32 smallest share of a pro-rata allocation; of an instrument's definition.
    pub const ALLOCATION_MINIMUM: Self = Self(261);
    /// u32 per cent, 1 to 100, that the first order of a price gives of what is wanted; of an instrument's
    /// definition.
    pub const TOP_SHARE: Self = Self(262);

    /// u64 from which the day's random displays are drawn; of a day's opening.
    pub const RANDOM_SEED: Self = Self(263);

    /// Highest tag that an OUCH client can send.
    pub const OUCH_MAX: u16 = 255;
}

/// Who a record comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Source {
    pub session: SessionId,
    pub epoch: ConnectionEpoch,
    pub gateway: Gateway,
}

/// A gateway's number within its node; 0 for records that no gateway wrote.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Gateway(pub u16);

/// Decoded record header; see the module's byte table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecordHeader {
    pub length: u32,
    pub kind: Kind,
    pub version: u8,
    pub policy: Policy,
    pub source: Source,
    pub partition: Partition,
    pub body_length: u16,
}

/// Why bytes are not a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum RecordError {
    #[error("record bytes are not 8-aligned in memory")]
    Misaligned,
    #[error("{available} bytes left, the record header or its length needs {needed}")]
    Short { needed: usize, available: usize },
    #[error("record length {0} is not a multiple of 8 between 24 and 4096")]
    Length(u32),
    #[error("body length {0} does not fit the record")]
    BodyLength(u16),
    #[error("policy byte {0} is not known")]
    Policy(u8),
    #[error("reserved bytes are not zero")]
    Reserved,
    #[error("an extension part does not fit the record")]
    Part,
}

/// Size and format of one body type. Implemented only by `command`'s types: flat, integers only,
/// every bit pattern valid, so that a view of exact length and alignment is always sound.
pub trait Body: Sized {
    type Archived: 'static;
    const KIND: Kind;
    const VERSION: u8;
    const POLICY: Policy;
    /// Bytes of the archive; multiple of 8.
    const LENGTH: usize;

    /// Writes the archive into `out`, which is exactly `LENGTH` bytes.
    fn write(&self, out: &mut [u8]);
    /// A view of the archive; `None` unless `bytes` has exactly its length and alignment.
    fn view(bytes: &[u8]) -> Option<&Self::Archived>;
    /// The native value of an archive.
    fn from_archived(archived: &Self::Archived) -> Self;
}

/// A whole record whose form (not whose meaning) has been checked.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    bytes: &'a [u8],
    header: RecordHeader,
}

#[inline(always)]
fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

#[inline(always)]
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

impl<'a> Record<'a> {
    /// Checks the form of the record at the start of `bytes` and returns it with the bytes after it.
    ///
    /// Every byte of header and part headers is looked at, so that what passes here can be applied,
    /// stored and sent on without a second look.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), RecordError> {
        if !bytes.as_ptr().addr().is_multiple_of(8) {
            return Err(RecordError::Misaligned);
        }
        if bytes.len() < RECORD_HEADER_LENGTH {
            return Err(RecordError::Short {
                needed: RECORD_HEADER_LENGTH,
                available: bytes.len(),
            });
        }
        let length = u32_at(bytes, 0);
        let whole = length as usize;
        if !whole.is_multiple_of(8) || !(RECORD_HEADER_LENGTH..=RECORD_LENGTH_MAX).contains(&whole)
        {
            return Err(RecordError::Length(length));
        }
        if bytes.len() < whole {
            return Err(RecordError::Short {
                needed: whole,
                available: bytes.len(),
            });
        }
        let body_length = u16_at(bytes, 20);
        let parts_at = RECORD_HEADER_LENGTH + usize::from(body_length);
        if !body_length.is_multiple_of(8) || parts_at > whole {
            return Err(RecordError::BodyLength(body_length));
        }
        if u16_at(bytes, 22) != 0 {
            return Err(RecordError::Reserved);
        }
        let policy = Policy::from_u8(bytes[7]).ok_or(RecordError::Policy(bytes[7]))?;
        let (bytes, rest) = bytes.split_at(whole);
        if parts_at != whole {
            Parts::check(&bytes[parts_at..])?;
        }
        let header = RecordHeader {
            length,
            kind: Kind(u16_at(bytes, 4)),
            version: bytes[6],
            policy,
            source: Source {
                session: SessionId(u32_at(bytes, 8)),
                epoch: ConnectionEpoch(u32_at(bytes, 12)),
                gateway: Gateway(u16_at(bytes, 18)),
            },
            partition: Partition(u16_at(bytes, 16)),
            body_length,
        };
        Ok((Self { bytes, header }, rest))
    }

    #[inline(always)]
    pub fn header(&self) -> &RecordHeader {
        &self.header
    }

    /// The whole record as stored.
    #[inline(always)]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The body, if this record is of `B`'s kind, version and exact length.
    #[inline(always)]
    pub fn body<B: Body>(&self) -> Option<&'a B::Archived> {
        if self.header.kind != B::KIND || self.header.version != B::VERSION {
            return None;
        }
        let end = RECORD_HEADER_LENGTH + usize::from(self.header.body_length);
        B::view(&self.bytes[RECORD_HEADER_LENGTH..end])
    }

    /// Extension parts in the order they were written.
    #[inline(always)]
    pub fn parts(&self) -> Parts<'a> {
        let at = RECORD_HEADER_LENGTH + usize::from(self.header.body_length);
        Parts {
            rest: &self.bytes[at..],
        }
    }
}

/// One extension part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Part<'a> {
    pub tag: PartTag,
    pub policy: Policy,
    pub value: &'a [u8],
}

impl Part<'_> {
    /// The value as a little-endian integer, if it is exactly one byte wide.
    pub fn u8(&self) -> Option<u8> {
        <[u8; 1]>::try_from(self.value).ok().map(|v| v[0])
    }
    pub fn u16(&self) -> Option<u16> {
        self.value.try_into().ok().map(u16::from_le_bytes)
    }
    pub fn u32(&self) -> Option<u32> {
        self.value.try_into().ok().map(u32::from_le_bytes)
    }
    pub fn i32(&self) -> Option<i32> {
        self.value.try_into().ok().map(i32::from_le_bytes)
    }
    pub fn u64(&self) -> Option<u64> {
        self.value.try_into().ok().map(u64::from_le_bytes)
    }
    pub fn alpha<const N: usize>(&self) -> Option<[u8; N]> {
        self.value.try_into().ok()
    }
}

/// Iterator over the parts of a checked record.
#[derive(Clone, Copy, Debug, Default)]
pub struct Parts<'a> {
    rest: &'a [u8],
}

impl<'a> Parts<'a> {
    pub const NONE: Self = Self { rest: &[] };

    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Parts that stand in `bytes`, written by [`write_part`]; the form is checked.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, RecordError> {
        Self::check(bytes)?;
        Ok(Self { rest: bytes })
    }

    /// The parts as stored, headers and padding included.
    #[inline(always)]
    pub fn bytes(&self) -> &'a [u8] {
        self.rest
    }

    /// First part with this tag.
    pub fn find(mut self, tag: PartTag) -> Option<Part<'a>> {
        Iterator::find(&mut self, |part| part.tag == tag)
    }

    /// Length of the part at the start of `rest` with its padding, if it fits.
    fn padded_length(rest: &[u8]) -> Option<usize> {
        if rest.len() < PART_HEADER_LENGTH {
            return None;
        }
        let value = u32_at(rest, 4) as usize;
        if value > RECORD_LENGTH_MAX {
            return None;
        }
        let padded = PART_HEADER_LENGTH + value.next_multiple_of(8);
        (padded <= rest.len()).then_some(padded)
    }

    fn check(mut rest: &[u8]) -> Result<(), RecordError> {
        while !rest.is_empty() {
            let padded = Self::padded_length(rest).ok_or(RecordError::Part)?;
            let value_end = PART_HEADER_LENGTH + u32_at(rest, 4) as usize;
            if rest[3] != 0 || rest[value_end..padded].iter().any(|&b| b != 0) {
                return Err(RecordError::Reserved);
            }
            if Policy::from_u8(rest[2]).is_none() {
                return Err(RecordError::Policy(rest[2]));
            }
            rest = &rest[padded..];
        }
        Ok(())
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = Part<'a>;

    fn next(&mut self) -> Option<Part<'a>> {
        let padded = Self::padded_length(self.rest)?;
        let (part, rest) = self.rest.split_at(padded);
        self.rest = rest;
        Some(Part {
            tag: PartTag(u16_at(part, 0)),
            policy: Policy::from_u8(part[2])?,
            value: &part[PART_HEADER_LENGTH..PART_HEADER_LENGTH + u32_at(part, 4) as usize],
        })
    }
}

/// Writes one part at the start of `out` and returns its length in bytes, padding included.
///
/// Panics if `out` is shorter than that.
pub fn write_part(out: &mut [u8], tag: PartTag, policy: Policy, value: &[u8]) -> usize {
    let padded = PART_HEADER_LENGTH + value.len().next_multiple_of(8);
    let part = &mut out[..padded];
    part[0..2].copy_from_slice(&tag.0.to_le_bytes());
    part[2] = policy as u8;
    part[3] = 0;
    part[4..8].copy_from_slice(&(value.len() as u32).to_le_bytes());
    let (copy, padding) = part[PART_HEADER_LENGTH..].split_at_mut(value.len());
    copy.copy_from_slice(value);
    padding.fill(0);
    padded
}

/// Writes one record into a caller's buffer, front to back, without allocating.
///
/// Panics if the record would not fit `out`: sizes are known to callers, `RECORD_LENGTH_MAX` always
/// suffices, and clients cannot send more than the gateway's appendage bound.
#[derive(Debug)]
pub struct RecordWriter<'a> {
    out: &'a mut [u8],
    length: usize,
}

impl<'a> RecordWriter<'a> {
    /// Starts a record with `body`; `out` must hold header, body and all parts to come.
    #[inline]
    pub fn new<B: Body>(out: &'a mut [u8], source: Source, body: &B) -> Self {
        let length = RECORD_HEADER_LENGTH + B::LENGTH;
        let head = &mut out[..length];
        head[0..4].copy_from_slice(&(length as u32).to_le_bytes());
        head[4..6].copy_from_slice(&B::KIND.0.to_le_bytes());
        head[6] = B::VERSION;
        head[7] = B::POLICY as u8;
        head[8..12].copy_from_slice(&source.session.0.to_le_bytes());
        head[12..16].copy_from_slice(&source.epoch.0.to_le_bytes());
        head[16..18].copy_from_slice(&[0, 0]);
        head[18..20].copy_from_slice(&source.gateway.0.to_le_bytes());
        head[20..22].copy_from_slice(&(B::LENGTH as u16).to_le_bytes());
        head[22..24].copy_from_slice(&[0, 0]);
        body.write(&mut head[RECORD_HEADER_LENGTH..]);
        Self { out, length }
    }

    /// Appends an extension part.
    pub fn part(&mut self, tag: PartTag, policy: Policy, value: &[u8]) -> &mut Self {
        self.length += write_part(&mut self.out[self.length..], tag, policy, value);
        self
    }

    /// Completes the record and returns its length in bytes.
    #[inline]
    pub fn finish(&mut self) -> usize {
        assert!(self.length <= RECORD_LENGTH_MAX);
        self.out[0..4].copy_from_slice(&(self.length as u32).to_le_bytes());
        self.length
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{CancelOrder, EnterOrder, Login};
    use alloc::vec::Vec;

    #[repr(align(8))]
    struct Aligned([u8; RECORD_LENGTH_MAX]);

    fn order() -> EnterOrder {
        EnterOrder {
            price: 0x0102_0304_0506_0708,
            symbol: *b"AMZN    ",
            user_ref_num: 7,
            quantity: 100,
            side: b'B',
            time_in_force: b'0',
            display: b'Y',
            capacity: b'A',
            intermarket_sweep: b'N',
            cross_type: b'N',
            client_order_id: *b"0123456789ABCD",
            _reserved: [0; 4],
        }
    }

    fn source() -> Source {
        Source {
            session: SessionId(3),
            epoch: ConnectionEpoch(9),
            gateway: Gateway(1),
        }
    }

    /// The archive is what docs/journal-format.md prints, and what rkyv itself would write.
    #[test]
    fn body_bytes_are_the_documented_table() {
        let mut buffer = Aligned([0xEE; RECORD_LENGTH_MAX]);
        let length = RecordWriter::new(&mut buffer.0, source(), &order()).finish();
        assert_eq!(length, 72);
        let body = &buffer.0[24..72];
        assert_eq!(body[0..8], 0x0102_0304_0506_0708u64.to_le_bytes());
        assert_eq!(&body[8..16], b"AMZN    ");
        assert_eq!(body[16..20], 7u32.to_le_bytes());
        assert_eq!(body[20..24], 100u32.to_le_bytes());
        assert_eq!(&body[24..30], b"B0YANN");
        assert_eq!(&body[30..44], b"0123456789ABCD");
        let by_rkyv = rkyv::to_bytes::<rkyv::rancor::Failure>(&order()).unwrap();
        assert_eq!(body, by_rkyv.as_slice());
    }

    #[test]
    fn header_parts_and_body_come_back() {
        let mut buffer = Aligned([0xEE; RECORD_LENGTH_MAX]);
        let length = RecordWriter::new(&mut buffer.0, source(), &order())
            .part(PartTag::USER_REF_IDX, Policy::Reject, &[4])
            .part(PartTag(77), Policy::Ignore, b"123456789")
            .finish();
        assert_eq!(length, 72 + 16 + 24);
        let (record, rest) = Record::parse(&buffer.0[..length]).unwrap();
        assert!(rest.is_empty());
        assert_eq!(record.header().source, source());
        let archived = record.body::<EnterOrder>().unwrap();
        assert_eq!(EnterOrder::from_archived(archived), order());
        assert!(record.body::<CancelOrder>().is_none());
        let parts: Vec<_> = record.parts().collect();
        assert_eq!(parts.len(), 2);
        assert_eq!(parts[0].u8(), Some(4));
        assert_eq!(parts[1].value, b"123456789");
        assert_eq!(
            record.parts().find(PartTag(77)).unwrap().policy,
            Policy::Ignore
        );
        let again = Parts::parse(record.parts().bytes()).unwrap();
        assert!(again.eq(record.parts()));
        assert_eq!(
            Parts::parse(&record.parts().bytes()[1..]).map(|_| ()),
            Err(RecordError::Part)
        );
    }

    /// A body of another length is another schema: rkyv's root sits at the end of the slice, so a
    /// padded body would validate and read wrong.
    #[test]
    fn body_of_wrong_length_is_not_viewed() {
        let mut buffer = Aligned([0; RECORD_LENGTH_MAX]);
        let length = RecordWriter::new(&mut buffer.0, source(), &order()).finish() + 8;
        buffer.0[0..4].copy_from_slice(&(length as u32).to_le_bytes());
        buffer.0[20..22].copy_from_slice(&56u16.to_le_bytes());
        let (record, _) = Record::parse(&buffer.0[..length]).unwrap();
        assert!(record.body::<EnterOrder>().is_none());
    }

    #[test]
    fn malformed_headers_are_named() {
        let mut buffer = Aligned([0; RECORD_LENGTH_MAX]);
        let login = Login {
            connection: 1,
            requested_number: 1,
            peer_address: [0; 16],
            peer_port: 9,
            user: *b"ALICE ",
            requested_session: [b' '; 10],
            _reserved: [0; 14],
        };
        let length = RecordWriter::new(&mut buffer.0, source(), &login)
            .part(PartTag::FIRM, Policy::Reject, b"ACME")
            .finish();
        let parse = |at: usize, value: u8| {
            let mut copy = Aligned(buffer.0);
            copy.0[at] = value;
            Record::parse(&copy.0[..length]).map(|_| ())
        };
        assert_eq!(parse(0, 1), Err(RecordError::Length(1)));
        assert_eq!(parse(0, 16), Err(RecordError::Length(16)));
        assert_eq!(
            parse(1, 1),
            Err(RecordError::Short {
                needed: length + 256,
                available: length
            })
        );
        assert_eq!(parse(7, 3), Err(RecordError::Policy(3)));
        assert_eq!(parse(20, 0xF8), Err(RecordError::BodyLength(0xF8)));
        assert_eq!(parse(22, 1), Err(RecordError::Reserved));
        assert_eq!(parse(24 + 64 + 4, 0xFF), Err(RecordError::Part));
        assert_eq!(parse(24 + 64 + 12, 1), Err(RecordError::Reserved));
        assert_eq!(
            Record::parse(&buffer.0[1..length]).map(|_| ()),
            Err(RecordError::Misaligned)
        );
    }

    proptest::proptest! {
        /// Any bytes: a typed outcome, no panic; what parses is consumed exactly.
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..256)) {
            let mut buffer = Aligned([0; RECORD_LENGTH_MAX]);
            buffer.0[..bytes.len()].copy_from_slice(&bytes);
            if let Ok((record, rest)) = Record::parse(&buffer.0[..bytes.len()]) {
                assert_eq!(record.bytes().len() + rest.len(), bytes.len());
                let _ = record.parts().count();
                let _ = record.body::<EnterOrder>();
            }
        }
    }
}
