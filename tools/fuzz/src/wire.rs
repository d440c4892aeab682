//! SoupBinTCP framing and sessions, OUCH messages.

use crate::bytes::{Aligned, Script};
use lockstep_record::{ConnectionEpoch, Gateway, RECORD_LENGTH_MAX, Record, SessionId, Source};
use lockstep_record::{StreamNumber, event::LoginRejectReason};
use lockstep_wire::ouch::{self, Inbound, Outbound};
use lockstep_wire::soup::{self, ClientSession, ServerSession};

fn packet(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = ((payload.len() + 1) as u16).to_be_bytes().to_vec();
    packet.push(kind);
    packet.extend_from_slice(payload);
    packet
}

fn login(number: u64) -> Vec<u8> {
    let login = soup::Login::new("ALICE", "SECRET", number).expect("legal credentials");
    let mut out = [0; soup::LOGIN_REQUEST_FRAME_LENGTH];
    let sent = ClientSession::new(0, Default::default()).log_in(&login, 0, &mut out);
    assert_eq!(sent, Some(out.len()));
    out.to_vec()
}

fn login_accepted(number: u64) -> Vec<u8> {
    let mut out = [0; soup::LOGIN_ACCEPTED_FRAME_LENGTH];
    soup::encode_login_accepted(b"  20261121", number, &mut out);
    out.to_vec()
}

/// Legal client messages, one of each type, some with options.
fn inbound_messages() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for &(kind, fixed) in Inbound::MESSAGES {
        let mut message = vec![b'A'; fixed];
        message[0] = kind;
        if !b"XMQ".contains(&kind) {
            message[fixed - 2..].fill(0);
        } else {
            all.push(message.clone());
            message.extend_from_slice(&[0, 0]);
        }
        all.push(message.clone());
        let options = [
            5, 3, 0, 0, 0, 9, 2, 28, 7, 5, 2, b'L', b'I', b'M', b'E', 9, 200, 0, 0, 0, 0, 0, 0, 0,
            1,
        ];
        let length = message.len();
        message[length - 2..].copy_from_slice(&(options.len() as u16).to_be_bytes());
        message.extend_from_slice(&options);
        all.push(message);
    }
    all
}

fn outbound_messages() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for &(kind, fixed) in Outbound::MESSAGES {
        let mut message = vec![1; fixed];
        message[0] = kind;
        all.push(message.clone());
        message[fixed - 2..].fill(0);
        all.push(message);
    }
    all
}

/// Both splitters on any bytes: frames lie where they say, and what is read is written again.
pub mod soup_split {
    use super::*;

    fn check(frame: &soup::Frame<'_>, bytes: &[u8]) {
        let whole = packet(frame.packet_type, frame.payload);
        assert_eq!(frame.length(), whole.len());
        assert_eq!(&bytes[..whole.len()], whole);
    }

    pub fn run(data: &[u8]) {
        let mut rest = data;
        while let Ok(Some(frame)) = soup::split_client(rest) {
            check(&frame, rest);
            assert!(frame.length() <= soup::CLIENT_FRAME_LENGTH_MAX);
            if let Ok(soup::ClientPacket::Login(request)) = soup::ClientPacket::from_frame(&frame) {
                let _ = (
                    request.user(),
                    request.password(),
                    request.session(),
                    request.number(),
                );
                let peer = std::net::SocketAddr::from(([127, 0, 0, 1], 9));
                let _ = request.to_command(1, peer);
            }
            rest = &rest[frame.length()..];
        }
        rest = data;
        while let Ok(Some(frame)) = soup::split_server(rest) {
            check(&frame, rest);
            assert!(frame.length() <= soup::SERVER_FRAME_LENGTH_MAX);
            if let Ok(soup::ServerPacket::LoginAccepted(accepted)) =
                soup::ServerPacket::from_frame(&frame)
                && let Ok(number) = accepted.number()
            {
                let mut out = [0; soup::LOGIN_ACCEPTED_FRAME_LENGTH];
                soup::encode_login_accepted(&accepted.session(), number, &mut out);
                let Ok(Some(again)) = soup::split_server(&out) else {
                    panic!("own packet")
                };
                let again = soup::ServerPacket::from_frame(&again);
                let Ok(soup::ServerPacket::LoginAccepted(again)) = again else {
                    panic!("own A")
                };
                assert_eq!(
                    (again.session(), again.number()),
                    (accepted.session(), Ok(number))
                );
            }
            rest = &rest[frame.length()..];
        }
    }

    pub fn seeds() -> Vec<Vec<u8>> {
        let mut all = vec![
            login(1),
            login_accepted(7),
            packet(b'+', b"text"),
            packet(b'R', b""),
        ];
        all.extend([packet(b'Z', b""), packet(b'J', b"A"), packet(b'O', b"")]);
        all.push([login(0), packet(b'U', b"Q")].concat());
        all.push([login_accepted(1), packet(b'S', b"S12345678E")].concat());
        all
    }
}

/// What a side of a session made of a stream of bytes, to compare over different cuts.
type Story = Vec<String>;

/// Cut lengths: all at once, or byte counts from the script (0 = all that is left).
fn pieces<'a>(mut cuts: Script<'_>, bytes: &'a [u8]) -> Vec<&'a [u8]> {
    let (mut rest, mut all) = (bytes, Vec::new());
    while !rest.is_empty() {
        let cut = usize::from(cuts.u8());
        let length = if cut == 0 {
            rest.len()
        } else {
            cut.min(rest.len())
        };
        let (piece, after) = rest.split_at(length);
        all.push(piece);
        rest = after;
    }
    all
}

/// First byte: how many bytes of cuts follow; then the stream.
fn cuts_and_stream(data: &[u8]) -> (Script<'_>, &[u8]) {
    let mut script = Script(data);
    let count = usize::from(script.u8() % 32);
    let cuts = Script(script.take(count));
    (cuts, script.0)
}

fn with_cuts(streams: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let cuts = [[3, 1, 2, 3].as_slice(), &[0], &[2, 49, 1]];
    let one = |stream: &Vec<u8>| cuts.map(|cut| [cut, stream].concat());
    streams.iter().flat_map(one).collect()
}

/// The venue's session: the same whatever the cuts; ends for good on a violation.
pub mod soup_server {
    use super::*;

    fn play(pieces: &[&[u8]], accept: bool) -> Story {
        let mut session = ServerSession::new(0, soup::Timing::default());
        let (mut story, mut held, mut now) = (Story::new(), Vec::new(), 0);
        for piece in pieces {
            now += 1;
            held.extend_from_slice(piece);
            loop {
                let (mut out, mut answer) = ([0; 256], None);
                let consumed = match session.handle_bytes(&held, now) {
                    Ok(taken) => {
                        match &taken.input {
                            Some(soup::Input::Login(request)) => answer = Some(request.session()),
                            Some(input) => story.push(format!("{input:?}")),
                            None => {}
                        }
                        taken.consumed
                    }
                    Err(violation) => {
                        let length = violation.encode_answer(&mut out);
                        assert!(length <= soup::DEBUG_PACKET_LENGTH_MAX);
                        assert_eq!(session.state(), soup::State::Ended);
                        story.push(format!("{violation}"));
                        break;
                    }
                };
                held.drain(..consumed);
                if let Some(name) = answer {
                    story.push("login".into());
                    let number = StreamNumber(1);
                    let sent = match accept {
                        true => session.login_accepted(&name, number, now, &mut out),
                        false => session.login_rejected(LoginRejectReason::NotAuthorized, &mut out),
                    };
                    assert!(sent.is_some());
                }
                if consumed == 0 || held.is_empty() {
                    break;
                }
            }
            if session.state() == soup::State::Ended {
                break;
            }
            let _ = (session.deadline_ns(), session.poll_timer(now));
        }
        story.push(format!("{:?}", session.state()));
        story
    }

    pub fn run(data: &[u8]) {
        let (cuts, stream) = cuts_and_stream(data);
        let accept = stream.len() % 5 != 0;
        let whole = play(&[stream], accept);
        assert_eq!(
            play(&pieces(cuts, stream), accept),
            whole,
            "cuts change nothing"
        );
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(play(&bytes, accept), whole, "byte by byte changes nothing");
    }

    pub fn seeds() -> Vec<Vec<u8>> {
        let data = [
            login(1),
            packet(b'U', b"Q"),
            packet(b'R', b""),
            packet(b'O', b""),
        ]
        .concat();
        let wrong = [
            packet(b'U', b"Q"),
            login(1),
            [login(1), login(2)].concat(),
            vec![0, 0, 0],
        ];
        with_cuts(&[vec![data], wrong.to_vec()].concat())
    }
}

/// A client's session: the same whatever the cuts; it counts every sequenced packet once.
pub mod soup_client {
    use super::*;

    fn play(pieces: &[&[u8]]) -> Story {
        let mut session = ClientSession::new(0, Default::default());
        let request = soup::Login::new("ALICE", "SECRET", 1).expect("legal credentials");
        let _ = session.log_in(&request, 0, &mut [0; 64]);
        let (mut story, mut held, mut now) = (Story::new(), Vec::new(), 0);
        'pieces: for piece in pieces {
            now += 1;
            held.extend_from_slice(piece);
            while !held.is_empty() && session.state() != soup::ClientState::Ended {
                let next = session.next_number();
                let consumed = match session.handle_bytes(&held, now) {
                    Ok(taken) => {
                        if let Some(soup::ServerInput::Sequenced { number, .. }) = taken.input {
                            assert_eq!(number, next);
                        }
                        story.extend(taken.input.map(|input| format!("{input:?}")));
                        taken.consumed
                    }
                    Err(violation) => {
                        story.push(format!("{violation}"));
                        break 'pieces;
                    }
                };
                held.drain(..consumed);
                if consumed == 0 {
                    break;
                }
            }
            let _ = session.poll_timer(now);
        }
        story.push(format!("{:?} {:?}", session.state(), session.next_number()));
        story
    }

    pub fn run(data: &[u8]) {
        let (cuts, stream) = cuts_and_stream(data);
        let whole = play(&[stream]);
        assert_eq!(play(&pieces(cuts, stream)), whole, "cuts change nothing");
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(play(&bytes), whole, "byte by byte changes nothing");
    }

    pub fn seeds() -> Vec<Vec<u8>> {
        let day = [
            login_accepted(u64::MAX),
            packet(b'S', b"x"),
            packet(b'Z', b""),
        ]
        .concat();
        let usual = [
            login_accepted(3),
            packet(b'H', b""),
            packet(b'S', b"S12345678E"),
        ]
        .concat();
        with_cuts(&[day, usual, packet(b'J', b"S"), packet(b'S', b"early")])
    }
}

/// Any payload from a client: read, written again, made a record that reads back.
pub mod ouch_inbound {
    use super::*;

    pub fn run(data: &[u8]) {
        let mut out = [0; RECORD_LENGTH_MAX];
        let source = Source {
            session: SessionId(3),
            epoch: ConnectionEpoch(2),
            gateway: Gateway(1),
        };
        let message = match Inbound::parse(data) {
            Ok(message) => message,
            Err(error) => {
                assert_eq!(
                    ouch::write_command(data, source, &mut out).err(),
                    Some(error)
                );
                return;
            }
        };
        let mut again = [0; ouch::INBOUND_LENGTH_MAX];
        let length = message.encode(&mut again);
        assert_eq!(&again[..length], data);
        assert_eq!(message.length(), data.len());
        let written = message.write_record(source, &mut out);
        assert_eq!(written, message.record_length());
        assert!(written <= ouch::COMMAND_RECORD_LENGTH_MAX);
        let aligned = Aligned::copy(&out[..written]);
        let (record, rest) = Record::parse(aligned.bytes()).expect("our own record");
        assert!(rest.is_empty());
        assert_eq!(record.header().source, source);
        assert_eq!(
            record.parts().count(),
            message.appendage().elements().count()
        );
        for (part, element) in record.parts().zip(message.appendage().elements()) {
            assert_eq!(usize::from(part.tag.0), usize::from(element.tag.0));
            assert_eq!(part.value.len(), element.bytes.len());
        }
    }

    pub fn seeds() -> Vec<Vec<u8>> {
        inbound_messages()
    }
}

/// Any payload from a venue: read and written again.
pub mod ouch_outbound {
    use super::*;

    pub fn run(data: &[u8]) {
        if let Ok(message) = Outbound::parse(data) {
            let mut again = vec![0; data.len() + 64];
            let length = message.encode(&mut again);
            assert_eq!(&again[..length], data);
            let _ = message.appendage().user_ref_idx();
        }
    }

    pub fn seeds() -> Vec<Vec<u8>> {
        outbound_messages()
    }
}
