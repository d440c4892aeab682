//! Lives of sessions: login, numbers, timers, ends; and both ends of ours against each other.

use lockstep_record::StreamNumber;
use lockstep_record::event::LoginRejectReason;
use lockstep_wire::soup::*;

const SECOND: u64 = 1_000_000_000;
const SESSION: &[u8; 10] = b"     SESS1";

fn login_packet(number: u64) -> Vec<u8> {
    let mut client = ClientSession::new(0, ClientTiming::default());
    let login = Login::new("alice", "secret", number).unwrap();
    let mut out = [0; LOGIN_REQUEST_FRAME_LENGTH];
    let length = client.log_in(&login, 0, &mut out).unwrap();
    out[..length].to_vec()
}

fn pending(now_ns: u64) -> ServerSession {
    let mut session = ServerSession::new(now_ns, Timing::default());
    let packet = login_packet(1);
    let taken = session.handle_bytes(&packet, now_ns).unwrap();
    assert_eq!(taken.consumed, LOGIN_REQUEST_FRAME_LENGTH);
    assert!(matches!(taken.input, Some(Input::Login(_))));
    assert_eq!(session.state(), State::LoginPending);
    session
}

fn logged_in(now_ns: u64) -> ServerSession {
    let mut session = pending(now_ns);
    let mut out = [0; LOGIN_ACCEPTED_FRAME_LENGTH];
    assert_eq!(
        session.login_accepted(SESSION, StreamNumber(1), now_ns, &mut out),
        Some(LOGIN_ACCEPTED_FRAME_LENGTH)
    );
    assert_eq!(session.state(), State::LoggedIn);
    session
}

#[test]
fn login_is_answered_with_session_and_number() {
    let mut session = pending(0);
    let mut out = [0; 64];
    let length = session
        .login_accepted(SESSION, StreamNumber(42), 5, &mut out)
        .unwrap();
    assert_eq!(&out[..length], b"\x00\x1FA     SESS1                  42");
    // A second answer is stale.
    assert_eq!(
        session.login_accepted(SESSION, StreamNumber(42), 5, &mut out),
        None
    );
    assert_eq!(
        session.login_rejected(LoginRejectReason::NotAuthorized, &mut out),
        None
    );
}

#[test]
fn rejected_login_ends_the_session() {
    for (reason, packet) in [
        (LoginRejectReason::NotAuthorized, b"\x00\x02JA"),
        (LoginRejectReason::SessionNotAvailable, b"\x00\x02JS"),
    ] {
        let mut session = pending(0);
        let mut out = [0; 64];
        let length = session.login_rejected(reason, &mut out).unwrap();
        assert_eq!(&out[..length], packet);
        assert_eq!(session.state(), State::Ended);
        assert_eq!(
            session.login_accepted(SESSION, StreamNumber(1), 0, &mut out),
            None
        );
    }
}

/// A client may send on right behind its login: nothing of it is taken, or lost, before the answer.
#[test]
fn bytes_wait_while_the_login_is_pending() {
    let mut session = pending(0);
    for bytes in [&b"\x00\x02UQ"[..], &login_packet(1), b"garbage", b""] {
        let taken = session.handle_bytes(bytes, 0).unwrap();
        assert!(taken.consumed == 0 && taken.input.is_none());
    }
    session
        .login_accepted(SESSION, StreamNumber(1), 0, &mut [0; 64])
        .unwrap();
    let taken = session.handle_bytes(b"\x00\x02UQ", 0).unwrap();
    assert!(matches!(taken.input, Some(Input::Data(b"Q"))));
}

#[test]
fn login_times_out_once_and_noise_does_not_defer_it() {
    let mut session = ServerSession::new(7, Timing::default());
    assert_eq!(session.deadline_ns(), Some(7 + 30 * SECOND));
    session.handle_bytes(b"\x00\x01R", 20 * SECOND).unwrap();
    session.handle_bytes(b"\x00\x03+hi", 29 * SECOND).unwrap();
    session.handle_bytes(b"\x00", 30 * SECOND).unwrap();
    assert_eq!(session.poll_timer(30 * SECOND + 6), None);
    assert_eq!(
        session.poll_timer(30 * SECOND + 7),
        Some(TimerAction::LoginTimedOut)
    );
    assert_eq!(session.state(), State::Ended);
    assert_eq!(session.poll_timer(30 * SECOND + 8), None);
    assert_eq!(session.deadline_ns(), None);
}

/// How long verifying and committing a login takes is our affair: no heartbeat goes before `A`, and
/// nobody is timed out.
#[test]
fn pending_login_has_no_timers() {
    let mut session = pending(0);
    assert_eq!(session.deadline_ns(), None);
    assert_eq!(session.poll_timer(3600 * SECOND), None);
    let now_ns = 3600 * SECOND;
    session
        .login_accepted(SESSION, StreamNumber(1), now_ns, &mut [0; 64])
        .unwrap();
    assert_eq!(session.poll_timer(now_ns), None);
}

#[test]
fn heartbeats_are_due_after_a_second_of_sending_nothing() {
    let mut session = logged_in(0);
    assert_eq!(session.deadline_ns(), Some(SECOND));
    assert_eq!(session.poll_timer(SECOND - 1), None);
    assert_eq!(session.poll_timer(SECOND), Some(TimerAction::SendHeartbeat));
    // Not sent yet: still due.
    assert_eq!(
        session.poll_timer(SECOND + 1),
        Some(TimerAction::SendHeartbeat)
    );
    session.handle_sent(SECOND + 2);
    assert_eq!(session.poll_timer(2 * SECOND + 1), None);
    assert_eq!(
        session.poll_timer(2 * SECOND + 2),
        Some(TimerAction::SendHeartbeat)
    );
    // Data counts as well as heartbeats.
    session.handle_sent(2 * SECOND + 2);
    session.handle_sent(3 * SECOND);
    assert_eq!(session.poll_timer(4 * SECOND - 1), None);
}

/// Sends every heartbeat that is due; the first other thing that time asks for, and when.
fn idle_until(session: &mut ServerSession, from_ns: u64, to_ns: u64) -> Option<(u64, TimerAction)> {
    (from_ns..=to_ns)
        .step_by(SECOND as usize / 4)
        .find_map(|now_ns| match session.poll_timer(now_ns) {
            Some(TimerAction::SendHeartbeat) => {
                session.handle_sent(now_ns);
                None
            }
            other => other.map(|action| (now_ns, action)),
        })
}

#[test]
fn silent_peer_times_out_after_fifteen_seconds() {
    let mut session = logged_in(0);
    assert_eq!(
        idle_until(&mut session, 0, 20 * SECOND),
        Some((15 * SECOND, TimerAction::PeerTimedOut))
    );
    assert_eq!(session.state(), State::Ended);

    // Anything that comes defers it, a piece of a packet included.
    let mut session = logged_in(0);
    session.handle_bytes(b"\x00\x01R", 10 * SECOND).unwrap();
    assert_eq!(idle_until(&mut session, 10 * SECOND, 24 * SECOND), None);
    session.handle_bytes(b"\x00", 24 * SECOND).unwrap();
    assert_eq!(
        idle_until(&mut session, 24 * SECOND, 60 * SECOND),
        Some((39 * SECOND, TimerAction::PeerTimedOut))
    );
}

/// A client that we do not read, because it is too fast for us, is not dead.
#[test]
fn paused_reading_times_nobody_out() {
    let mut session = logged_in(0);
    session.handle_reading_paused();
    assert_eq!(idle_until(&mut session, 0, 100 * SECOND), None);
    assert_eq!(session.deadline_ns(), Some(101 * SECOND));
    session.handle_reading_resumed(100 * SECOND);
    assert_eq!(
        idle_until(&mut session, 100 * SECOND, 200 * SECOND),
        Some((115 * SECOND, TimerAction::PeerTimedOut))
    );
}

#[test]
fn nothing_happens_before_the_deadline_and_something_at_it() {
    let mut session = logged_in(0);
    for _ in 0..100 {
        let Some(deadline_ns) = session.deadline_ns() else {
            assert_eq!(session.state(), State::Ended);
            return;
        };
        assert_eq!(session.poll_timer(deadline_ns - 1), None);
        match session.poll_timer(deadline_ns) {
            Some(TimerAction::SendHeartbeat) => session.handle_sent(deadline_ns),
            Some(_) => {}
            None => panic!("nothing at the deadline"),
        }
    }
    panic!("the silent peer never timed out");
}

#[test]
fn end_of_session_is_said_once_and_only_to_the_logged_in() {
    let mut out = [0; 3];
    let mut session = logged_in(0);
    assert_eq!(session.end_of_session(&mut out), Some(3));
    assert_eq!(&out, b"\x00\x01Z");
    assert_eq!(session.state(), State::Ended);
    assert_eq!(session.end_of_session(&mut out), None);
    assert_eq!(pending(0).end_of_session(&mut out), None);
    assert_eq!(
        ServerSession::new(0, Timing::default()).end_of_session(&mut out),
        None
    );
    let mut session = logged_in(0);
    session.end();
    assert_eq!(session.state(), State::Ended);
}

/// Our client and our server, packet by packet: numbers go on over a reconnect.
#[test]
fn client_and_server_understand_each_other() {
    let mut next = first_connection();
    assert_eq!(next, StreamNumber(3));

    let mut client = ClientSession::new(0, ClientTiming::default());
    let login = Login {
        session: *SESSION,
        ..Login::new("alice", "secret", next.0).unwrap()
    };
    let mut out = [0; 256];
    let length = client.log_in(&login, 0, &mut out).unwrap();
    assert_eq!(client.log_in(&login, 0, &mut out), None);
    let mut server = ServerSession::new(0, Timing::default());
    let taken = server.handle_bytes(&out[..length], 0).unwrap();
    let Some(Input::Login(request)) = taken.input else {
        panic!("{taken:?}")
    };
    assert_eq!(request.number(), Ok(3));
    assert_eq!(request.session(), *SESSION);
    assert_eq!(request.user(), login.user);
    assert_eq!(request.password().as_bytes(), login.password.as_bytes());
    let length = server
        .login_accepted(SESSION, StreamNumber(3), 0, &mut out)
        .unwrap();
    client.handle_bytes(&out[..length], 0).unwrap();
    for number in [3, 4] {
        let taken = client.handle_bytes(b"\x00\x02Sx", 0).unwrap();
        assert_eq!(
            taken.input,
            Some(ServerInput::Sequenced {
                number: StreamNumber(number),
                payload: b"x",
            })
        );
        next = client.next_number();
    }
    assert_eq!(next, StreamNumber(5));
    let length = server.end_of_session(&mut out).unwrap();
    let taken = client.handle_bytes(&out[..length], 0).unwrap();
    assert_eq!(taken.input, Some(ServerInput::EndOfSession));
    assert_eq!(client.state(), ClientState::Ended);
}

/// Two messages, then the connection breaks; the number to ask for next.
fn first_connection() -> StreamNumber {
    let mut client = ClientSession::new(0, ClientTiming::default());
    assert_eq!(client.next_number(), StreamNumber(0));
    let mut out = [0; 256];
    client
        .log_in(&Login::new("alice", "secret", 0).unwrap(), 0, &mut out)
        .unwrap();
    let mut server = pending(0);
    let length = server
        .login_accepted(SESSION, StreamNumber(1), 0, &mut out)
        .unwrap();
    let taken = client.handle_bytes(&out[..length], 0).unwrap();
    assert_eq!(
        taken.input,
        Some(ServerInput::LoginAccepted {
            session: *SESSION,
            number: StreamNumber(1),
        })
    );
    // Heartbeats, debug text and unsequenced data do not count.
    let stream = b"\x00\x02Sx\x00\x01H\x00\x02+d\x00\x02Ux\x00\x02Sx";
    let mut at = 0;
    while at < stream.len() {
        at += client.handle_bytes(&stream[at..], 0).unwrap().consumed;
    }
    client.end();
    client.next_number()
}

#[test]
fn client_sends_heartbeats_only_when_logged_in_and_times_out() {
    let mut client = ClientSession::new(0, ClientTiming::default());
    assert_eq!(client.poll_timer(2 * SECOND), None);
    let mut out = [0; 256];
    client
        .log_in(
            &Login::new("alice", "secret", 1).unwrap(),
            2 * SECOND,
            &mut out,
        )
        .unwrap();
    assert_eq!(client.poll_timer(4 * SECOND), None);
    let length = encode_login_accepted(SESSION, 1, &mut out);
    client.handle_bytes(&out[..length], 4 * SECOND).unwrap();
    assert_eq!(
        client.poll_timer(4 * SECOND),
        Some(ClientTimerAction::SendHeartbeat)
    );
    client.handle_sent(4 * SECOND);
    assert_eq!(client.poll_timer(5 * SECOND - 1), None);
    assert_eq!(
        client.poll_timer(5 * SECOND),
        Some(ClientTimerAction::SendHeartbeat)
    );
    client.handle_sent(19 * SECOND - 1);
    assert_eq!(client.poll_timer(19 * SECOND - 1), None);
    assert_eq!(
        client.poll_timer(19 * SECOND),
        Some(ClientTimerAction::ServerTimedOut)
    );
    assert_eq!(client.state(), ClientState::Ended);
}

#[test]
fn client_names_what_a_server_may_not_do() {
    let logged_in = || {
        let mut client = ClientSession::new(0, ClientTiming::default());
        let mut out = [0; 256];
        client
            .log_in(&Login::new("alice", "secret", 1).unwrap(), 0, &mut out)
            .unwrap();
        let length = encode_login_accepted(SESSION, 1, &mut out);
        client.handle_bytes(&out[..length], 0).unwrap();
        client
    };
    let cases: [(&[u8], ClientViolation); 6] = [
        (b"\x00\x00", FrameError::ZeroLength.into()),
        (b"\x00\x01R", FrameError::WrongDirection(b'R').into()),
        (b"\x00\x01?", FrameError::UnknownType(b'?').into()),
        (
            b"\x00\x03J",
            ClientViolation::Frame(FrameError::Length {
                packet_type: b'J',
                length: 3,
                expected: 2,
            }),
        ),
        (
            b"\x00\x02JA",
            ClientViolation::OutOfPlace {
                packet_type: b'J',
                state: ClientState::LoggedIn,
            },
        ),
        (
            b"\x00\x1FA                              1",
            ClientViolation::OutOfPlace {
                packet_type: b'A',
                state: ClientState::LoggedIn,
            },
        ),
    ];
    for (bytes, violation) in cases {
        let mut client = logged_in();
        assert_eq!(client.handle_bytes(bytes, 0), Err(violation));
        assert_eq!(client.state(), ClientState::Ended);
        assert_eq!(client.handle_bytes(b"\x00\x02Sx", 0).unwrap().input, None);
    }
    let mut client = ClientSession::new(0, ClientTiming::default());
    client
        .log_in(&Login::new("alice", "secret", 1).unwrap(), 0, &mut [0; 64])
        .unwrap();
    assert_eq!(
        client.handle_bytes(b"\x00\x1FA     SESS1                12x4", 0),
        Err(ClientViolation::Number(NumberError::NotADigit(b'x')))
    );
}
