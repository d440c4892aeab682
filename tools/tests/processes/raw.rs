//! A client that sends any bytes it likes and believes only what it hears.

use crate::venue::VenueFolder;
use lockstep_wire::ouch::Outbound;
use lockstep_wire::soup::{
    LOGIN_REQUEST_FRAME_LENGTH, LOGOUT_REQUEST, Login, ServerPacket, encode_unsequenced,
    split_server,
};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// What the venue says, heartbeats left out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Said {
    /// Login accepted, with the next number.
    Accepted(u64),
    /// Login rejected, with its letter.
    Rejected(u8),
    /// A numbered message.
    Message(u64, Vec<u8>),
    Debug(String),
    EndOfSession,
    /// The connection has ended, in order or by a reset.
    Closed,
}

pub struct Raw {
    stream: TcpStream,
    buffer: Vec<u8>,
    next_number: u64,
    heartbeats: u64,
}

impl Raw {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("connect");
        stream.set_nodelay(true).expect("no delay");
        let timeout = Some(Duration::from_secs(30));
        stream.set_read_timeout(timeout).expect("read timeout");
        stream.set_write_timeout(timeout).expect("write timeout");
        Self {
            stream,
            buffer: Vec::new(),
            next_number: 0,
            heartbeats: 0,
        }
    }

    /// Connected and logged in from message `number`.
    pub fn logged_in(address: SocketAddr, folder: &VenueFolder, session: u32, number: u64) -> Self {
        let mut client = Self::connect(address);
        client.send(&login_packet(
            &folder.login(session, number).expect("login"),
        ));
        match client.said() {
            Said::Accepted(next) => assert!(number == 0 || next == number),
            other => panic!("T{session} was not accepted: {other:?}"),
        }
        client
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("send");
    }

    /// Sends to a venue that may have closed already.
    pub fn send_perhaps(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Sends one OUCH message.
    pub fn message(&mut self, payload: &[u8]) {
        let packet = packet(payload);
        self.send(&packet);
    }

    pub fn log_out(&mut self) {
        self.send(&LOGOUT_REQUEST);
    }

    pub fn shut_down_sending(&mut self) {
        self.stream.shutdown(Shutdown::Write).expect("shutdown");
    }

    /// Number that the next message will have.
    pub fn next_number(&self) -> u64 {
        self.next_number
    }

    /// Heartbeats heard.
    pub fn heartbeats(&self) -> u64 {
        self.heartbeats
    }

    /// What the venue says next; panics if it says nothing for half a minute.
    pub fn said(&mut self) -> Said {
        loop {
            if let Some(said) = self.take() {
                return said;
            }
            let mut bytes = [0; 65_536];
            match self.stream.read(&mut bytes) {
                Ok(0) => return Said::Closed,
                Ok(length) => self.buffer.extend_from_slice(&bytes[..length]),
                Err(e) if e.kind() == ErrorKind::ConnectionReset => return Said::Closed,
                Err(error) => panic!("the venue says nothing: {error}"),
            }
        }
    }

    /// The next numbered message, whatever debug texts come before.
    pub fn hear(&mut self) -> (u64, Vec<u8>) {
        loop {
            match self.said() {
                Said::Message(number, payload) => return (number, payload),
                Said::Debug(_) => {}
                other => panic!("a message was due: {other:?}"),
            }
        }
    }

    /// Hears messages until one of this type and UserRefNum.
    pub fn hear_of(&mut self, letter: u8, user_ref: u32) -> (u64, Vec<u8>) {
        loop {
            let (number, payload) = self.hear();
            if payload[0] == letter && user_ref_of(&payload) == Some(user_ref) {
                return (number, payload);
            }
        }
    }

    /// Hears to the end; everything said before it.
    pub fn said_to_the_end(&mut self) -> Vec<Said> {
        let mut all = Vec::new();
        loop {
            match self.said() {
                Said::Closed => return all,
                said => all.push(said),
            }
        }
    }

    fn take(&mut self) -> Option<Said> {
        loop {
            let frame = split_server(&self.buffer).expect("a sound venue")?;
            let length = frame.length();
            let said = match ServerPacket::from_frame(&frame).expect("a sound venue") {
                ServerPacket::Heartbeat => {
                    self.heartbeats += 1;
                    None
                }
                ServerPacket::LoginAccepted(accepted) => {
                    self.next_number = accepted.number().expect("a number");
                    Some(Said::Accepted(self.next_number))
                }
                ServerPacket::LoginRejected(reason) => Some(Said::Rejected(reason)),
                ServerPacket::Sequenced(payload) => {
                    self.next_number += 1;
                    Some(Said::Message(self.next_number - 1, payload.to_vec()))
                }
                ServerPacket::Debug(text) => {
                    Some(Said::Debug(String::from_utf8_lossy(text).into_owned()))
                }
                ServerPacket::EndOfSession => Some(Said::EndOfSession),
                ServerPacket::Unsequenced(_) => panic!("this venue sends no unsequenced data"),
            };
            self.buffer.drain(..length);
            if said.is_some() {
                return said;
            }
        }
    }
}

pub fn login_packet(login: &Login) -> Vec<u8> {
    let mut packet = vec![0; LOGIN_REQUEST_FRAME_LENGTH];
    let mut session = lockstep_wire::soup::ClientSession::new(0, Default::default());
    let length = session
        .log_in(login, 0, &mut packet)
        .expect("a first login");
    packet.truncate(length);
    packet
}

/// `payload` as a `U` packet.
pub fn packet(payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0; payload.len() + 3];
    let length = encode_unsequenced(payload, &mut packet);
    packet.truncate(length);
    packet
}

/// Bytes as a packet of this type.
pub fn typed(letter: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len() + 1).expect("a short payload");
    [&length.to_be_bytes()[..], &[letter], payload].concat()
}

/// A day order of 100 shares of the first symbol, bid at 1.0000.
pub fn bid(user_ref: u32) -> Vec<u8> {
    order(user_ref, lockstep_record::Side::Buy, 10_000)
}

/// A day order of 100 shares of the first symbol; the price in 1/10,000.
pub fn order(user_ref: u32, side: lockstep_record::Side, price: u64) -> Vec<u8> {
    use lockstep_bench::client::request::{LimitOrder, REQUEST_LENGTH_MAX, encode_enter, symbol};
    let order = LimitOrder {
        user_ref,
        side,
        quantity: 100,
        symbol: symbol("AAPL").expect("a symbol"),
        price: lockstep_record::Price(price),
        is_immediate: false,
    };
    let mut message = [0; REQUEST_LENGTH_MAX];
    let length = encode_enter(&order, &mut message);
    message[..length].to_vec()
}

/// Cancels all of an order.
pub fn cancel(user_ref: u32) -> Vec<u8> {
    use lockstep_bench::client::request::{REQUEST_LENGTH_MAX, encode_cancel};
    let mut message = [0; REQUEST_LENGTH_MAX];
    let length = encode_cancel(user_ref, 0, &mut message);
    message[..length].to_vec()
}

/// UserRefNum of an answer to an order.
pub fn user_ref_of(payload: &[u8]) -> Option<u32> {
    match Outbound::parse(payload).expect("a sound message") {
        Outbound::Accepted(m) => Some(m.user_ref_num()),
        Outbound::Canceled(m) => Some(m.user_ref_num()),
        Outbound::Executed(m) => Some(m.user_ref_num()),
        Outbound::Rejected(m) => Some(m.user_ref_num()),
        _ => None,
    }
}

/// A well-behaved client on session T2, to show that everybody else is served on.
pub struct Witness {
    client: Raw,
    user_ref: u32,
}

impl Witness {
    pub fn new(address: SocketAddr, folder: &VenueFolder) -> Self {
        Self {
            client: Raw::logged_in(address, folder, 2, 1),
            user_ref: 0,
        }
    }

    /// An order of its own is acknowledged now, on the connection it has had all along.
    #[track_caller]
    pub fn is_served(&mut self) {
        self.user_ref += 1;
        self.client.message(&bid(self.user_ref));
        self.client.hear_of(b'A', self.user_ref);
    }
}
