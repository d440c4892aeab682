//! What many or greedy clients cost the others: counted in work, never in time.

use super::*;
use crate::counters::read_counter;

impl Bed {
    /// Logged in as a session of its own, whatever user it was verified as.
    fn log_in_as(&mut self, slot: u64, session: u32) {
        self.accept(slot);
        self.feed(slot, &login_packet("alice", "secret", 1));
        assert_eq!(self.wait_record().0, Kind::LOGIN);
        let mut control = accepted(slot, 1, 1, 1);
        if let Control::LoginAccepted { session: s, .. } = &mut control {
            *s = SessionId(session);
        }
        self.control(&control);
    }

    fn is_paused(&self, slot: u64) -> bool {
        self.out.paused.get(&id(slot).0) == Some(&true)
    }
}

/// Two clients that send as fast as they are read found the ring empty each time it had room, because the
/// driver asked them first: the others were never read again. Now who has waited longest goes on first.
#[test]
fn no_session_starves_while_others_flood_the_ring() {
    const FLOODERS: [u64; 2] = [0, 1];
    const MODEST: [u64; 3] = [2, 3, 4];
    const CYCLES: usize = 3_000;
    const DRAINED: usize = 25;
    let mut bed = Bed::new();
    for slot in FLOODERS.into_iter().chain(MODEST) {
        bed.log_in_as(slot, slot as u32 + 1);
    }
    let flood = QUERY.repeat(2048 / QUERY.len());
    let mut waits_since = [None; 5];
    let (mut drained, mut longest_wait) = (0usize, 0);
    let mut served = [0usize; 5];
    for _ in 0..CYCLES {
        // As the driver: each connection that is not paused, in the order of slots, one turn.
        for slot in FLOODERS {
            if !bed.is_paused(slot) {
                bed.feed(slot, &flood);
            }
        }
        for slot in MODEST {
            let since: &mut Option<(usize, bool)> = &mut waits_since[slot as usize];
            let (begun, taken) = since.unwrap_or((drained, false));
            let taken = taken || !bed.is_paused(slot) && bed.feed(slot, QUERY) != 0;
            *since = Some((begun, taken));
        }
        for _ in 0..DRAINED {
            let Some((_, session, _)) = bed.next_record() else {
                break;
            };
            let slot = session as usize - 1;
            drained += 1;
            served[slot] += 1;
            if let Some((begun, _)) = waits_since[slot].take() {
                longest_wait = longest_wait.max(drained - begun);
            }
        }
        bed.work();
    }
    // A ring full of others' records, and a turn of each of the others.
    let bound = (64 << 10) / 40 + 4 * (2048 / QUERY.len());
    assert!(
        longest_wait <= bound,
        "waited {longest_wait} records, at most {bound}"
    );
    for slot in MODEST {
        assert!(
            served[slot as usize] > CYCLES * DRAINED / bound,
            "{served:?}"
        );
    }
    assert_eq!(drained, CYCLES * DRAINED, "the ring was never empty");
}

/// A log-out that found the ring full became a disconnect, which says something else in the log.
#[test]
fn a_logout_that_finds_the_ring_full_stays_a_logout() {
    let mut bed = Bed::new();
    bed.log_in_as(0, 1);
    bed.log_in_as(1, 2);
    let flood = QUERY.repeat(5_000);
    bed.feed(1, &flood);
    assert!(bed.is_paused(1), "the ring is full");
    assert_eq!(bed.feed(0, b"\0\x01O"), 3);
    bed.work();
    assert!(
        !bed.out.closed.contains_key(&id(0).0),
        "not before it is in order"
    );
    let mut of_session_1 = Vec::new();
    for _ in 0..10 {
        while let Some((kind, session, epoch)) = bed.next_record() {
            if session == 1 {
                of_session_1.push((kind, epoch));
            }
        }
        bed.work();
    }
    assert_eq!(of_session_1, [(Kind::LOGOUT, 1)]);
    // Its end while the logout waited would have come behind it.
    bed.gateway.handle_closed(id(0), false);
    assert_eq!(bed.wait_record(), (Kind::DISCONNECT, 1, 1));
}

#[test]
fn too_many_wrong_passwords_are_refused_without_a_look() {
    let mut bed = Bed::new();
    let max = LoginsConfig::default().user_failures_max;
    let counters = bed._folder.path().join("counters");
    let rejected = |bed: &mut Bed, slot: u64, password: &str| {
        bed.accept(slot);
        bed.feed(slot, &login_packet("alice", password, 1));
        while !bed.out.closed.contains_key(&id(slot).0) {
            bed.work();
            std::thread::yield_now();
        }
        bed.out.closed.clear();
        bed.gateway.handle_closed(id(slot), false);
        let answer = bed.sent(slot);
        assert_eq!(answer, b"\0\x02JA");
    };
    let limited = || read_counter(&counters, CounterId::LoginsLimited).unwrap();
    for _ in 0..max {
        rejected(&mut bed, 0, "wrong");
    }
    assert_eq!(limited(), 0);
    // Even the right one: whoever guesses must not learn that he has.
    rejected(&mut bed, 0, "secret");
    assert_eq!(limited(), 1);
    bed.now_ns += 3_600_000_000_000;
    bed.work();
    bed.log_in(0, 1, 1);
    assert_eq!(bed.sent(0)[2], b'A');
}

/// After the day's end its stream can be had by who asks; he is told that it is over, and nothing he sends
/// becomes a record.
#[test]
fn a_closed_day_is_read_to_its_end() {
    let mut bed = Bed::new();
    let mut expected = Vec::new();
    for _ in 0..5 {
        expected.extend(bed.emit(60, true));
    }
    bed.control(&Control::DayClosed { session_name: NAME });
    bed.log_in(0, 1, 2);
    bed.work();
    let said = bed.sent(0);
    assert_eq!(said[2], b'A');
    assert_eq!(said[33..33 + 240], expected[60..]);
    assert_eq!(said[33 + 240..], *b"\0\x01Z");
    assert_eq!(bed.out.closed[&id(0).0], "flush");
    bed.feed(0, QUERY);
    bed.gateway.handle_closed(id(0), false);
    bed.work();
    assert_eq!(bed.next_record(), None);
    // Nothing left to read: over at once.
    bed.log_in(1, 1, 6);
    assert_eq!(bed.sent(1)[33..], *b"\0\x01Z");
}

/// A flood of logins keeps nothing else waiting: what others send is taken, however many verifications wait.
#[test]
fn a_flood_of_logins_holds_nobody_else_up() {
    let mut bed = Bed::new();
    bed.log_in_as(0, 1);
    for slot in 1..8 {
        bed.accept(slot);
        assert_ne!(bed.feed(slot, &login_packet("nobody", "wrong", 1)), 0);
    }
    for _ in 0..100 {
        assert_eq!(bed.feed(0, QUERY), QUERY.len());
        bed.work();
        let record = bed.next_record().map(|(kind, session, _)| (kind, session));
        assert_eq!(record, Some((Kind::ACCOUNT_QUERY, 1)));
    }
}
