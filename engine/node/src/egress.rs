//! What crosses the egress ring: the numbered messages as they will be sent, and controls.
//!
//! ```text
//! tag 1, message: u64 number · u32 session · u32 packet length · the packet as sent
//! tag 2, control: u16 kind · u16 gateway · u32 session · u32 epoch · u32 date or reason
//!                 · u64 connection, midnight or request · u64 first number or sequence · u64 next number
//!                 · session name 10 bytes · zeros to 56
//! ```
//! All integers little-endian. The engine is the only writer; gateway and stream store read.

use lockstep_record::event::{ConnectionEnd, Control, LoginRejectReason, Refusal};
use lockstep_record::{
    ConnectionEpoch, Gateway, InstrumentId, Price, Sequence, SessionId, StreamNumber,
};

pub const TAG_MESSAGE: u32 = 1;
pub const TAG_CONTROL: u32 = 2;
pub const MESSAGE_HEADER: usize = 16;
pub const CONTROL_LENGTH: usize = 56;

/// A numbered message as read from the ring.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Message<'a> {
    pub number: StreamNumber,
    pub session: SessionId,
    /// SoupBinTCP packet, header included.
    pub packet: &'a [u8],
}

/// Fills the header of a message whose packet of `length` bytes follows it.
#[inline]
pub fn write_message_header(
    out: &mut [u8],
    session: SessionId,
    number: StreamNumber,
    length: usize,
) {
    out[0..8].copy_from_slice(&number.0.to_le_bytes());
    out[8..12].copy_from_slice(&session.0.to_le_bytes());
    out[12..16].copy_from_slice(&(length as u32).to_le_bytes());
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// Reads a message frame; `None` if it is not one.
#[inline]
pub fn read_message(payload: &[u8]) -> Option<Message<'_>> {
    let length = u32_at(payload, 12)? as usize;
    Some(Message {
        number: StreamNumber(u64_at(payload, 0)?),
        session: SessionId(u32_at(payload, 8)?),
        packet: payload.get(MESSAGE_HEADER..MESSAGE_HEADER + length)?,
    })
}

#[derive(Default)]
struct Flat {
    kind: u16,
    gateway: u16,
    session: u32,
    epoch: u32,
    small: u32,
    wide: u64,
    first: u64,
    next: u64,
    name: [u8; 10],
}

pub fn write_control(control: &Control) -> [u8; CONTROL_LENGTH] {
    let flat = flatten(control);
    let mut out = [0; CONTROL_LENGTH];
    out[0..2].copy_from_slice(&flat.kind.to_le_bytes());
    out[2..4].copy_from_slice(&flat.gateway.to_le_bytes());
    out[4..8].copy_from_slice(&flat.session.to_le_bytes());
    out[8..12].copy_from_slice(&flat.epoch.to_le_bytes());
    out[12..16].copy_from_slice(&flat.small.to_le_bytes());
    out[16..24].copy_from_slice(&flat.wide.to_le_bytes());
    out[24..32].copy_from_slice(&flat.first.to_le_bytes());
    out[32..40].copy_from_slice(&flat.next.to_le_bytes());
    out[40..50].copy_from_slice(&flat.name);
    out
}

fn flatten(control: &Control) -> Flat {
    match *control {
        Control::LoginAccepted {
            gateway,
            connection,
            session,
            epoch,
            session_name,
            first_number,
            next_number,
        } => Flat {
            kind: 1,
            gateway: gateway.0,
            session: session.0,
            epoch: epoch.0,
            small: 0,
            wide: connection,
            first: first_number.0,
            next: next_number.0,
            name: session_name,
        },
        Control::LoginRejected {
            gateway,
            connection,
            reason,
        } => Flat {
            kind: 2,
            gateway: gateway.0,
            small: reason as u32,
            wide: connection,
            ..Flat::default()
        },
        Control::ConnectionEnded {
            gateway,
            connection,
            session,
            epoch,
            why,
        } => Flat {
            kind: 3,
            gateway: gateway.0,
            session: session.0,
            epoch: epoch.0,
            small: match why {
                ConnectionEnd::Superseded => 1,
                ConnectionEnd::Logout => 2,
            },
            wide: connection,
            ..Flat::default()
        },
        Control::DayOpened {
            date,
            midnight,
            session_name,
        } => Flat {
            kind: 4,
            small: date,
            wide: midnight,
            name: session_name,
            ..Flat::default()
        },
        Control::DayClosed { session_name } => Flat {
            kind: 5,
            name: session_name,
            ..Flat::default()
        },
        Control::OperatorAnswered {
            request,
            sequence,
            refusal,
        } => Flat {
            kind: 6,
            small: refusal.map_or(0, |why| why as u32),
            wide: request,
            first: sequence.0,
            ..Flat::default()
        },
        Control::InstrumentState { .. }
        | Control::Indication { .. }
        | Control::Uncrossed { .. } => flatten_market(control),
    }
}

/// What concerns an instrument: its id stands in the session's place.
fn flatten_market(control: &Control) -> Flat {
    match *control {
        Control::InstrumentState { instrument, state } => Flat {
            kind: 7,
            session: instrument.0,
            small: u32::from(state),
            ..Flat::default()
        },
        Control::Indication {
            instrument,
            price,
            quantity,
            imbalance,
            imbalance_side,
        } => Flat {
            kind: 8,
            session: instrument.0,
            small: u32::from(imbalance_side),
            wide: price.0,
            first: quantity,
            next: imbalance,
            ..Flat::default()
        },
        Control::Uncrossed {
            instrument,
            price,
            quantity,
            cross_type,
        } => Flat {
            kind: 9,
            session: instrument.0,
            small: u32::from(cross_type),
            wide: price.0,
            first: quantity,
            ..Flat::default()
        },
        _ => Flat::default(),
    }
}

/// Reads a control frame; `None` if it is not one.
pub fn read_control(payload: &[u8]) -> Option<Control> {
    if payload.len() != CONTROL_LENGTH {
        return None;
    }
    let gateway = Gateway(u16::from_le_bytes([payload[2], payload[3]]));
    let session = SessionId(u32_at(payload, 4)?);
    let epoch = ConnectionEpoch(u32_at(payload, 8)?);
    let small = u32_at(payload, 12)?;
    let wide = u64_at(payload, 16)?;
    let session_name: [u8; 10] = payload[40..50].try_into().ok()?;
    Some(match u16::from_le_bytes([payload[0], payload[1]]) {
        1 => Control::LoginAccepted {
            gateway,
            connection: wide,
            session,
            epoch,
            session_name,
            first_number: StreamNumber(u64_at(payload, 24)?),
            next_number: StreamNumber(u64_at(payload, 32)?),
        },
        2 => Control::LoginRejected {
            gateway,
            connection: wide,
            reason: match u8::try_from(small).ok()? {
                b'A' => LoginRejectReason::NotAuthorized,
                b'S' => LoginRejectReason::SessionNotAvailable,
                _ => return None,
            },
        },
        3 => Control::ConnectionEnded {
            gateway,
            connection: wide,
            session,
            epoch,
            why: match small {
                1 => ConnectionEnd::Superseded,
                2 => ConnectionEnd::Logout,
                _ => return None,
            },
        },
        4 => Control::DayOpened {
            date: small,
            midnight: wide,
            session_name,
        },
        5 => Control::DayClosed { session_name },
        6 => Control::OperatorAnswered {
            request: wide,
            sequence: Sequence(u64_at(payload, 24)?),
            refusal: match u16::try_from(small).ok()? {
                0 => None,
                why => Some(Refusal::from_u16(why)?),
            },
        },
        7 => Control::InstrumentState {
            instrument: InstrumentId(session.0),
            state: u8::try_from(small).ok()?,
        },
        8 => Control::Indication {
            instrument: InstrumentId(session.0),
            price: Price(wide),
            quantity: u64_at(payload, 24)?,
            imbalance: u64_at(payload, 32)?,
            imbalance_side: u8::try_from(small).ok()?,
        },
        9 => Control::Uncrossed {
            instrument: InstrumentId(session.0),
            price: Price(wide),
            quantity: u64_at(payload, 24)?,
            cross_type: u8::try_from(small).ok()?,
        },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controls_come_back() {
        let (gateway, connection) = (Gateway(1), 0xAB00_0000_0001);
        let (session, epoch) = (SessionId(3), ConnectionEpoch(9));
        let session_name = *b"  20261121";
        let controls = [
            Control::LoginAccepted {
                gateway,
                connection,
                session,
                epoch,
                session_name,
                first_number: StreamNumber(4),
                next_number: StreamNumber(77),
            },
            Control::LoginRejected {
                gateway,
                connection,
                reason: LoginRejectReason::SessionNotAvailable,
            },
            Control::ConnectionEnded {
                gateway,
                connection,
                session,
                epoch,
                why: ConnectionEnd::Superseded,
            },
            Control::DayOpened {
                date: 20_261_121,
                midnight: 5,
                session_name,
            },
            Control::DayClosed { session_name },
            Control::OperatorAnswered {
                request: u64::MAX,
                sequence: Sequence(9),
                refusal: None,
            },
            Control::OperatorAnswered {
                request: 1,
                sequence: Sequence(10),
                refusal: Some(Refusal::BoundLowered),
            },
            Control::InstrumentState {
                instrument: InstrumentId(65_535),
                state: b'V',
            },
            Control::Indication {
                instrument: InstrumentId(1),
                price: Price(u64::MAX),
                quantity: 1 << 40,
                imbalance: 7,
                imbalance_side: b'S',
            },
            Control::Uncrossed {
                instrument: InstrumentId(2),
                price: Price(10_000),
                quantity: 1 << 41,
                cross_type: b'O',
            },
        ];
        for control in controls {
            assert_eq!(read_control(&write_control(&control)), Some(control));
        }
        assert_eq!(read_control(&[0; CONTROL_LENGTH]), None);
    }

    #[test]
    fn messages_come_back() {
        let mut frame = [0u8; MESSAGE_HEADER + 3];
        write_message_header(&mut frame, SessionId(2), StreamNumber(8), 3);
        frame[MESSAGE_HEADER..].copy_from_slice(b"abc");
        let message = read_message(&frame).unwrap();
        assert_eq!(
            (message.session.0, message.number.0, message.packet),
            (2, 8, &b"abc"[..])
        );
        assert_eq!(read_message(&frame[..10]), None);
    }
}
