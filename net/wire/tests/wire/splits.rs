//! TCP splits and merges packets as it likes: cut the stream anywhere, and the same is understood.

use lockstep_record::StreamNumber;
use lockstep_wire::soup::*;
use proptest::prelude::*;

/// What a session understood, in words that can be compared.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Heard {
    Login(String, Result<u64, NumberError>),
    Data(Vec<u8>),
    Logout,
    Violation(Violation),
    Server(String),
    ClientViolation(ClientViolation),
}

/// The driver's side of the contract: what is not consumed is kept and offered again with what follows.
struct Receiver {
    session: ServerSession,
    tail: Vec<u8>,
    heard: Vec<Heard>,
    tail_max: usize,
}

impl Receiver {
    fn new() -> Self {
        Self {
            session: ServerSession::new(0, Timing::default()),
            tail: Vec::new(),
            heard: Vec::new(),
            tail_max: 0,
        }
    }

    fn receive(&mut self, bytes: &[u8]) {
        self.tail.extend_from_slice(bytes);
        let mut at = 0;
        loop {
            match self.session.handle_bytes(&self.tail[at..], 0) {
                Ok(Taken { consumed: 0, .. }) => break,
                Ok(taken) => {
                    at += taken.consumed;
                    match taken.input {
                        None => {}
                        Some(Input::Data(payload)) => {
                            self.heard.push(Heard::Data(payload.to_vec()));
                        }
                        Some(Input::Logout) => self.heard.push(Heard::Logout),
                        Some(Input::Login(login)) => {
                            let user = format!("{:?}", login.user());
                            self.heard.push(Heard::Login(user, login.number()));
                            self.session
                                .login_accepted(&[b' '; 10], StreamNumber(1), 0, &mut [0; 64])
                                .unwrap();
                        }
                    }
                }
                Err(violation) => {
                    self.heard.push(Heard::Violation(violation));
                    at = self.tail.len();
                    break;
                }
            }
        }
        self.tail.drain(..at);
        self.tail_max = self.tail_max.max(self.tail.len());
    }
}

fn client_stream(last: &[u8]) -> Vec<u8> {
    let mut stream = Vec::new();
    stream.extend_from_slice(b"\x00\x03+hi");
    stream.extend_from_slice(b"\x00\x2FLalice secret              7                   ");
    stream.extend_from_slice(b"\x00\x01R");
    stream.extend_from_slice(b"\x00\x0AUX\x00\x00\x00\x07\x00\x00\x00\x32");
    stream.extend_from_slice(b"\x00\x02UQ");
    stream.extend_from_slice(b"\x00\x01U");
    stream.extend_from_slice(b"\x00\x01R");
    stream.extend_from_slice(last);
    stream
}

fn heard(pieces: &[&[u8]]) -> Vec<Heard> {
    let mut receiver = Receiver::new();
    for piece in pieces {
        receiver.receive(piece);
    }
    assert!(receiver.tail_max < CLIENT_FRAME_LENGTH_MAX);
    receiver.heard
}

fn expected(last: &[Heard]) -> Vec<Heard> {
    let mut heard = vec![
        Heard::Login("\"ALICE\"".into(), Ok(7)),
        Heard::Data(b"X\x00\x00\x00\x07\x00\x00\x00\x32".to_vec()),
        Heard::Data(b"Q".to_vec()),
        Heard::Data(Vec::new()),
    ];
    heard.extend_from_slice(last);
    heard
}

fn endings() -> Vec<(&'static [u8], Heard)> {
    let violation = |error| Heard::Violation(Violation::Frame(error));
    vec![
        (b"\x00\x01O", Heard::Logout),
        (b"\x00\x00U", violation(FrameError::ZeroLength)),
        (b"\x00\x01?", violation(FrameError::UnknownType(b'?'))),
        (b"\x00\x04Sabc", violation(FrameError::WrongDirection(b'S'))),
        (
            b"\xFF\xFFUxxxx",
            violation(FrameError::TooLong {
                length: 65537,
                length_max: CLIENT_FRAME_LENGTH_MAX,
            }),
        ),
        (
            b"\x00\x02Rx",
            violation(FrameError::Length {
                packet_type: b'R',
                length: 2,
                expected: 1,
            }),
        ),
        (
            b"\x00\x2FLALICE SECRET                                 1",
            Heard::Violation(Violation::SecondLogin),
        ),
    ]
}

#[test]
fn cut_at_every_byte_or_byte_by_byte() {
    for (last, ending) in endings() {
        let stream = client_stream(last);
        let expected = expected(&[ending]);
        assert_eq!(heard(&[&stream]), expected);
        for cut in 0..=stream.len() {
            assert_eq!(
                heard(&[&stream[..cut], &stream[cut..]]),
                expected,
                "cut at {cut}"
            );
        }
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(heard(&bytes), expected);
    }
}

/// A stream that ends inside a packet says nothing of it, at every byte.
#[test]
fn truncated_packets_say_nothing() {
    let stream = client_stream(b"\x00\x01O");
    let whole = heard(&[&stream]);
    for end in 0..stream.len() {
        let part = heard(&[&stream[..end]]);
        assert!(part.len() < whole.len());
        assert_eq!(part, whole[..part.len()], "ends at {end}");
    }
}

fn server_heard(pieces: &[&[u8]]) -> Vec<Heard> {
    let mut session = ClientSession::new(0, ClientTiming::default());
    let login = Login::new("alice", "secret", 0).unwrap();
    session.log_in(&login, 0, &mut [0; 64]).unwrap();
    let mut tail = Vec::new();
    let mut heard = Vec::new();
    for piece in pieces {
        tail.extend_from_slice(piece);
        let mut at = 0;
        loop {
            match session.handle_bytes(&tail[at..], 0) {
                Ok(ClientTaken { consumed: 0, .. }) => break,
                Ok(taken) => {
                    at += taken.consumed;
                    heard.extend(taken.input.map(|input| Heard::Server(format!("{input:?}"))));
                }
                Err(violation) => {
                    heard.push(Heard::ClientViolation(violation));
                    at = tail.len();
                    break;
                }
            }
        }
        tail.drain(..at);
    }
    heard
}

#[test]
fn server_stream_cut_at_every_byte() {
    let mut stream = Vec::new();
    stream.extend_from_slice(b"\x00\x06+hello");
    stream.extend_from_slice(b"\x00\x1FA     SESS1                   3");
    stream.extend_from_slice(b"\x00\x0BSS\x00\x00\x00\x00\x00\x00\x00\x01S");
    stream.extend_from_slice(b"\x00\x01H");
    stream.extend_from_slice(b"\x00\x02Sx\x00\x02Ux\x00\x02Sy");
    stream.extend_from_slice(b"\x00\x01Z");
    let expected = server_heard(&[&stream]);
    assert_eq!(expected.len(), 7);
    for cut in 0..=stream.len() {
        assert_eq!(server_heard(&[&stream[..cut], &stream[cut..]]), expected);
    }
    let bytes: Vec<&[u8]> = stream.chunks(1).collect();
    assert_eq!(server_heard(&bytes), expected);
}

proptest! {
    #![proptest_config(crate::many_cases())]

    /// Several cuts at once, also of streams that are not legal.
    #[test]
    fn cut_anywhere(
        ending in 0..7usize,
        garbage in prop::collection::vec(any::<u8>(), 0..40),
        mut cuts in prop::collection::vec(0..200usize, 0..12),
    ) {
        let (last, _) = endings()[ending].clone();
        let mut stream = client_stream(last);
        let keep = stream.len() - (garbage.len() % stream.len());
        stream.truncate(keep);
        stream.extend_from_slice(&garbage);
        cuts.retain(|cut| *cut <= stream.len());
        cuts.sort_unstable();
        let mut pieces = Vec::new();
        let mut at = 0;
        for cut in cuts {
            pieces.push(&stream[at..cut]);
            at = cut;
        }
        pieces.push(&stream[at..]);
        prop_assert_eq!(heard(&pieces), heard(&[&stream]));
    }
}
