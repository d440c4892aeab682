//! A client that does not read (row C7): others are served on, memory stays bounded, and its stream is
//! exact when it reads at last.

use crate::common::{Fixture, plan, stop_in_order};
use crate::raw::{Raw, Witness, bid, cancel, packet, user_ref_of};
use crate::venue::VenuePlan;
use lockstep_node::counters::CounterId;

/// Orders entered and cancelled in one burst.
const BURST: u32 = 2_000;
/// Bursts until the venue reads the session's stream from its file; kernel buffers hold several MB.
const BURSTS_MAX: u32 = 100;

#[test]
fn a_client_that_never_reads_costs_only_itself_and_finds_its_stream_exact() {
    let network = "send_buffer_bytes = 16384".to_owned();
    let (fixture, venue) = Fixture::serving(VenuePlan { network, ..plan() });
    let mut witness = Witness::new(venue.address, &fixture.folder);
    let mut client = Raw::logged_in(venue.address, &fixture.folder, 1, 1);
    let mut last = 0;
    let mut bursts = 0;
    while bursts < 2 || fixture.counter(CounterId::SessionsBehind) == 0 {
        assert!(
            bursts < BURSTS_MAX,
            "the session never fell behind: this test proves nothing"
        );
        let mut bytes = Vec::new();
        for _ in 0..BURST {
            last += 1;
            bytes.extend(packet(&bid(last)));
            bytes.extend(packet(&cancel(last)));
        }
        client.send(&bytes);
        witness.is_served();
        bursts += 1;
    }
    // Further on while it is behind.
    for _ in 0..20 {
        last += 1;
        client.message(&bid(last));
        client.message(&cancel(last));
        witness.is_served();
    }
    assert_eq!(client.hear().1[0], b'S');
    for user_ref in 1..=last {
        for (letter, place) in [(b'A', 0), (b'C', 1)] {
            let (number, payload) = client.hear();
            let expected = u64::from(user_ref) * 2 + place;
            assert_eq!((number, payload[0]), (expected, letter));
            assert_eq!(user_ref_of(&payload), Some(user_ref));
        }
    }
    assert!(
        fixture.counter(CounterId::MessagesReplayed) > 0,
        "nothing came from the stream file"
    );
    // Caught up: live again.
    client.message(&bid(last + 1));
    assert_eq!(client.hear_of(b'A', last + 1).0, u64::from(last) * 2 + 2);
    witness.is_served();
    stop_in_order(venue);
}
