//! The floor: a server on the same driver that answers each OUCH request with messages of the very
//! sizes that a venue answers with, and does nothing else.
//!
//! The load generator cannot tell it from a venue, so a figure against it differs from a figure
//! against a venue by the venue alone. It must never get work of its own, nor answer with other sizes.
//!
//! ```text
//! O day → A (64)          O IOC → A (64), E (36), E (36): both ends of a trade, the other's number 0
//! X → C (18)              U → U (68)          Q → Q (13)          L → A          R → H
//! ```

use crate::measure::thread::{Idle, PinError, pin};
use lockstep_net::{
    AnyDriver, Close, CloseReason, ConnectionId, Connections, Driver, DriverKind, Handler, Limits,
    ListenerId, NetError,
};
use lockstep_record::{MatchNumber, OrderReference, Price};
use lockstep_wire::ouch::Appendage;
use lockstep_wire::ouch::outbound::{Accepted, AccountQueryResponse, Canceled, Executed, Replaced};
use lockstep_wire::soup::{
    FRAME_HEADER_LENGTH, LOGIN_ACCEPTED_FRAME_LENGTH, SERVER_HEARTBEAT, encode_login_accepted,
    encode_sequenced_header, split_client,
};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;
use thiserror::Error;

/// Longest answer of the echo server, framed.
const ANSWER_LENGTH_MAX: usize = FRAME_HEADER_LENGTH + Replaced::FIXED_LENGTH;
/// Most that one request is answered with.
const ANSWERS_LENGTH_MAX: usize = 3 * ANSWER_LENGTH_MAX;
const LISTEN_BACKLOG: u32 = 1024;
/// How long a parked server sleeps before it looks whether to stop.
const PARK_MAX: Duration = Duration::from_millis(20);
/// Where OUCH requests carry their number: `O`, `X` and, as the new one, `U`.
const USER_REF_AT: usize = 1;
const REPLACE_USER_REF_AT: usize = 5;
/// Where a framed answer carries it.
const ANSWER_USER_REF_AT: usize = FRAME_HEADER_LENGTH + 9;
const REPLACED_USER_REF_AT: usize = FRAME_HEADER_LENGTH + 13;
/// Where `O` carries its time in force.
const TIME_IN_FORCE_AT: usize = 26;

/// How to serve.
#[derive(Clone, Copy, Debug)]
pub struct EchoOptions {
    pub address: SocketAddr,
    pub driver: DriverKind,
    pub core: Option<usize>,
    pub idle: Idle,
    pub limits: Limits,
}

/// Why the echo server did not start.
#[derive(Debug, Error)]
pub enum EchoError {
    #[error("echo server: {0}")]
    Net(#[from] NetError),
    #[error("echo server: {0}")]
    Pin(#[from] PinError),
    #[error("echo server: cannot start a thread: {0}")]
    Thread(io::Error),
    #[error("echo server: its thread ended before it listened")]
    Ended,
}

/// A running echo server; stops when dropped.
#[derive(Debug)]
pub struct EchoServer {
    address: SocketAddr,
    driver: DriverKind,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl EchoServer {
    /// Starts the server on a thread of its own and waits until it listens.
    pub fn start(options: EchoOptions) -> Result<Self, EchoError> {
        let (listening, told) = mpsc::channel();
        let stop = Arc::new(AtomicBool::new(false));
        let stop_too = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("echo".to_owned())
            .spawn(move || match open(&options) {
                Ok((driver, address)) => {
                    // The starter waits for this word; if it is gone, nobody will stop us.
                    if listening.send(Ok((address, driver.kind()))).is_ok() {
                        serve(driver, options.idle, &stop_too);
                    }
                }
                Err(error) => drop(listening.send(Err(error))),
            })
            .map_err(EchoError::Thread)?;
        let (address, driver) = told.recv().map_err(|_| EchoError::Ended)??;
        Ok(Self {
            address,
            driver,
            stop,
            thread: Some(thread),
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The driver that was chosen.
    pub fn driver(&self) -> DriverKind {
        self.driver
    }
}

impl Drop for EchoServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Its panic has been printed; there is nothing to add.
            let _ = thread.join();
        }
    }
}

fn open(options: &EchoOptions) -> Result<(AnyDriver, SocketAddr), EchoError> {
    if let Some(core) = options.core {
        pin(core)?;
    }
    let mut driver = AnyDriver::new(options.driver, &options.limits)?;
    let (_, address) = driver.listen(options.address, LISTEN_BACKLOG)?;
    Ok((driver, address))
}

fn serve(mut driver: AnyDriver, idle: Idle, stop: &AtomicBool) {
    let mut echo = Echo::new();
    while !stop.load(Ordering::Relaxed) {
        let work = driver.poll(&mut echo);
        echo.resume(driver.connections());
        driver.flush();
        if work == 0 {
            idle.idle(&mut driver, PARK_MAX);
        }
    }
}

/// A framed answer, complete but for its number.
#[derive(Clone, Copy, Debug)]
struct Template {
    bytes: [u8; ANSWER_LENGTH_MAX],
    length: usize,
    user_ref_at: usize,
}

impl Template {
    fn new(user_ref_at: usize, encode: impl FnOnce(&mut [u8]) -> usize) -> Self {
        let mut bytes = [0; ANSWER_LENGTH_MAX];
        let payload = encode(&mut bytes[FRAME_HEADER_LENGTH..]);
        let length = encode_sequenced_header(payload, &mut bytes);
        Self {
            bytes,
            length,
            user_ref_at,
        }
    }

    #[inline]
    fn number(&mut self, user_ref: [u8; 4]) -> &[u8] {
        self.bytes[self.user_ref_at..self.user_ref_at + 4].copy_from_slice(&user_ref);
        &self.bytes[..self.length]
    }
}

/// Answers every request at once. Public so that tests can run it on their own driver.
#[derive(Clone, Debug)]
pub struct Echo {
    accepted: Template,
    executed: Template,
    canceled: Template,
    replaced: Template,
    query: Template,
    /// Connections whose client does not read.
    paused: Vec<ConnectionId>,
}

impl Default for Echo {
    fn default() -> Self {
        Self::new()
    }
}

impl Echo {
    pub fn new() -> Self {
        let none = Appendage::ABSENT;
        Self {
            accepted: Template::new(ANSWER_USER_REF_AT, |out| ACCEPTED.encode(none, out)),
            executed: Template::new(ANSWER_USER_REF_AT, |out| EXECUTED.encode(none, out)),
            canceled: Template::new(ANSWER_USER_REF_AT, |out| CANCELED.encode(none, out)),
            replaced: Template::new(REPLACED_USER_REF_AT, |out| REPLACED.encode(none, out)),
            query: Template::new(ANSWER_USER_REF_AT, |out| QUERY.encode(none, out)),
            paused: Vec::new(),
        }
    }

    /// Reads again from the clients that have made room.
    fn resume(&mut self, connections: &mut Connections) {
        let enough = connections.limits().send_buffer_bytes as usize / 2;
        self.paused.retain(|connection| {
            let waits =
                connections.is_open(*connection) && connections.send_room(*connection) < enough;
            if !waits {
                connections.resume(*connection);
            }
            waits
        });
    }

    /// Answers one OUCH request. `send` takes whole answers.
    #[inline]
    fn answer(&mut self, request: &[u8], send: &mut impl FnMut(&[u8])) {
        let number = |at: usize| {
            let mut number = [0; 4];
            if let Some(bytes) = request.get(at..at + 4) {
                number.copy_from_slice(bytes);
            }
            number
        };
        match request.first() {
            Some(b'O') => {
                let user_ref = number(USER_REF_AT);
                send(self.accepted.number(user_ref));
                if request.get(TIME_IN_FORCE_AT) == Some(&b'3') {
                    send(self.executed.number([0; 4]));
                    send(self.executed.number(user_ref));
                }
            }
            Some(b'X') => send(self.canceled.number(number(USER_REF_AT))),
            Some(b'U') => send(self.replaced.number(number(REPLACE_USER_REF_AT))),
            Some(b'Q') => send(self.query.number(1_u32.to_be_bytes())),
            _ => {}
        }
    }

    /// Answers one packet; false: the client said goodbye.
    #[inline]
    fn packet(&mut self, packet_type: u8, payload: &[u8], send: &mut impl FnMut(&[u8])) -> bool {
        match packet_type {
            b'U' => self.answer(payload, send),
            b'R' => send(&SERVER_HEARTBEAT),
            b'L' => {
                let mut accepted = [0; LOGIN_ACCEPTED_FRAME_LENGTH];
                let length = encode_login_accepted(b"      ECHO", 1, &mut accepted);
                send(&accepted[..length]);
            }
            b'O' => return false,
            _ => {}
        }
        true
    }
}

impl Handler for Echo {
    fn accepted(&mut self, _: &mut Connections, _: ListenerId, _: ConnectionId, _: SocketAddr) {}

    fn connected(&mut self, _: &mut Connections, _: ConnectionId, _: Result<(), io::ErrorKind>) {}

    #[inline]
    fn received(
        &mut self,
        connections: &mut Connections,
        connection: ConnectionId,
        bytes: &[u8],
    ) -> usize {
        let mut consumed = 0;
        loop {
            // All answers to one request, or none: a client that does not read stops being read.
            if connections.send_room(connection) < ANSWERS_LENGTH_MAX {
                connections.pause(connection);
                self.paused.push(connection);
                return consumed;
            }
            let frame = match split_client(&bytes[consumed..]) {
                Ok(Some(frame)) => frame,
                Ok(None) => return consumed,
                Err(_) => {
                    connections.close(connection, Close::Now);
                    return bytes.len();
                }
            };
            consumed += frame.length();
            let mut send = |answer: &[u8]| {
                let sent = connections.send(connection, answer);
                debug_assert!(sent == answer.len());
            };
            if !self.packet(frame.packet_type, frame.payload, &mut send) {
                connections.close(connection, Close::AfterFlush);
                return bytes.len();
            }
        }
    }

    fn sendable(&mut self, _: &mut Connections, _: ConnectionId) {}

    fn closed(&mut self, _: &mut Connections, _: ConnectionId, _: CloseReason) {}
}

const ACCEPTED: Accepted = Accepted {
    timestamp: 1,
    user_ref_num: 0,
    side: b'B',
    quantity: 100,
    symbol: *b"ECHO    ",
    price: Price(1),
    time_in_force: b'0',
    display: b'Y',
    order_reference: OrderReference(1),
    capacity: b'P',
    intermarket_sweep: b'N',
    cross_type: b'N',
    state: b'L',
    client_order_id: [b' '; 14],
};

const EXECUTED: Executed = Executed {
    timestamp: 1,
    user_ref_num: 0,
    quantity: 100,
    price: Price(1),
    liquidity: b'R',
    match_number: MatchNumber(1),
};

const CANCELED: Canceled = Canceled {
    timestamp: 1,
    user_ref_num: 0,
    quantity: 100,
    reason: b'U',
};

const REPLACED: Replaced = Replaced {
    timestamp: 1,
    original_user_ref_num: 0,
    user_ref_num: 0,
    side: b'B',
    quantity: 100,
    symbol: *b"ECHO    ",
    price: Price(1),
    time_in_force: b'0',
    display: b'Y',
    order_reference: OrderReference(1),
    capacity: b'P',
    intermarket_sweep: b'N',
    cross_type: b'N',
    state: b'L',
    client_order_id: [b' '; 14],
};

const QUERY: AccountQueryResponse = AccountQueryResponse {
    timestamp: 1,
    next_user_ref_num: 1,
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::request::{
        LimitOrder, encode_account_query, encode_cancel, encode_enter, encode_replace,
    };
    use lockstep_record::Side;
    use lockstep_wire::ouch::Outbound;
    use lockstep_wire::soup::split_server;

    fn answers(encode: impl FnOnce(&mut [u8]) -> usize) -> Vec<Vec<u8>> {
        let mut request = [0; 64];
        let length = encode(&mut request);
        let mut answers = Vec::new();
        assert!(Echo::new().packet(b'U', &request[..length], &mut |answer| {
            answers.push(answer.to_vec())
        }));
        answers
            .iter()
            .map(|answer| {
                let frame = split_server(answer).expect("frame").expect("whole");
                assert_eq!((frame.packet_type, frame.length()), (b'S', answer.len()));
                frame.payload.to_vec()
            })
            .collect()
    }

    fn enter(is_immediate: bool) -> impl FnOnce(&mut [u8]) -> usize {
        move |out| {
            let order = LimitOrder {
                user_ref: 77,
                side: Side::Buy,
                quantity: 1,
                symbol: *b"TEST    ",
                price: Price(100),
                is_immediate,
            };
            encode_enter(&order, out)
        }
    }

    #[test]
    fn answers_have_the_sizes_and_numbers_of_a_venues() {
        let got = answers(enter(false));
        assert_eq!(got.iter().map(Vec::len).collect::<Vec<_>>(), [64]);
        assert!(
            matches!(Outbound::parse(&got[0]), Ok(Outbound::Accepted(a)) if a.user_ref_num() == 77)
        );
        let got = answers(enter(true));
        assert_eq!(got.iter().map(Vec::len).collect::<Vec<_>>(), [64, 36, 36]);
        assert!(
            matches!(Outbound::parse(&got[1]), Ok(Outbound::Executed(e)) if e.user_ref_num() == 0)
        );
        assert!(
            matches!(Outbound::parse(&got[2]), Ok(Outbound::Executed(e)) if e.user_ref_num() == 77)
        );
        let got = answers(|out| encode_cancel(78, 0, out));
        assert_eq!(got.iter().map(Vec::len).collect::<Vec<_>>(), [18]);
        assert!(
            matches!(Outbound::parse(&got[0]), Ok(Outbound::Canceled(c)) if c.user_ref_num() == 78)
        );
        let got = answers(|out| encode_replace(78, 79, 1, Price(1), out));
        assert_eq!(got.iter().map(Vec::len).collect::<Vec<_>>(), [68]);
        assert!(
            matches!(Outbound::parse(&got[0]), Ok(Outbound::Replaced(r)) if r.user_ref_num() == 79)
        );
        let got = answers(encode_account_query);
        assert_eq!(got.iter().map(Vec::len).collect::<Vec<_>>(), [13]);
    }

    #[test]
    fn short_and_strange_requests_do_no_harm() {
        for request in [&b""[..], b"O", b"X1", b"U123456", b"?"] {
            Echo::new().answer(request, &mut |_| {});
        }
    }
}
