//! Journals with a torn tail, or damaged where nothing may be cut.

use crate::common::{Fixture, assert_end, plan, segments, stop_in_order};
use crate::proof::replay;
use crate::raw::{Raw, bid};
use crate::venue::{VenuePlan, VenueProcess};
use lockstep_journal::folder::read_meta;
use lockstep_journal::reader::{JournalReader, ReadOptions};
use lockstep_journal::storage::DirectStorage;
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

/// Block of headers before a segment's data.
const HEADER_LENGTH: u64 = 4096;

/// Where a batch stands.
#[derive(Clone, Copy, Debug)]
struct Place {
    segment: usize,
    offset: u64,
    next_sequence: u64,
}

/// Every batch of the journal, in order.
fn batches(fixture: &Fixture) -> Vec<Place> {
    let storage = DirectStorage::open(&fixture.folder.journal()).expect("journal");
    let meta = read_meta(&storage).expect("meta");
    let mut reader = JournalReader::new(storage, &meta, ReadOptions::ALL);
    let mut places = Vec::new();
    while let Some(batch) = reader.next_batch().expect("whole") {
        let length = meta.segment_data_length;
        places.push(Place {
            segment: usize::try_from(batch.position.segment(length)).expect("few segments"),
            offset: HEADER_LENGTH + batch.position.offset_in_segment(length),
            next_sequence: batch.header.next_sequence(),
        });
    }
    places
}

fn flip(fixture: &Fixture, place: &Place) -> PathBuf {
    let path = segments(&fixture.folder)[place.segment].clone();
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .expect("segment");
    let mut byte = [0];
    // In the header's checksummed part, where every batch has bytes, empty ones too.
    let at = place.offset + 40;
    file.read_exact_at(&mut byte, at).expect("read");
    file.write_all_at(&[byte[0] ^ 0x10], at).expect("write");
    path
}

/// A venue that has taken orders one by one, a batch each.
fn traded(policy: &'static str) -> (Fixture, VenueProcess) {
    let (fixture, venue) = Fixture::serving(VenuePlan { policy, ..plan() });
    let mut client = Raw::logged_in(venue.address, &fixture.folder, 1, 1);
    for user_ref in 1..=40 {
        client.message(&bid(user_ref));
        client.hear_of(b'A', user_ref);
    }
    (fixture, venue)
}

#[test]
fn a_torn_tail_is_cut_and_reported_and_serving_goes_on() {
    let (fixture, venue) = traded("local");
    // Everything acknowledged is on disk, too, before the machine "loses power".
    crate::common::wait_until("the disk has caught up", || batches(&fixture).len() >= 42);
    venue.kill().expect("an end");
    std::fs::remove_file(fixture.folder.log_buffer()).expect("the memory is gone");
    let places = batches(&fixture);
    let [.., before, last] = &places[..] else {
        panic!("{places:?}")
    };
    flip(&fixture, last);
    let venue = fixture.start();
    let report = venue.lines().join("\n");
    assert!(report.contains("cut"), "{report}");
    let good = before.next_sequence - 1;
    assert!(
        report.contains(&good.to_string()),
        "names the last good sequence {good}: {report}"
    );
    // The clients' last order was in the cut batch or before it; what they ask again is answered.
    let mut client = Raw::logged_in(venue.address, &fixture.folder, 1, 1);
    client.message(&bid(41));
    client.hear_of(b'A', 41);
    let ended = stop_in_order(venue);
    let replayed = replay(&fixture.folder.journal()).expect("whole");
    assert_eq!(ended.state(), Some((replayed.hash(), replayed.sequence())));
    let kept = std::fs::read_dir(fixture.folder.journal()).expect("journal");
    let kept = kept.filter(|e| {
        e.as_ref()
            .is_ok_and(|e| e.path().extension().is_some_and(|x| x == "cut"))
    });
    assert_eq!(kept.count(), 1, "the bytes that were cut are kept");
}

#[test]
fn a_damaged_tail_that_the_log_buffer_holds_is_repaired() {
    let (fixture, venue) = traded("durable");
    venue.kill().expect("an end");
    let places = batches(&fixture);
    flip(&fixture, places.last().expect("batches"));
    let venue = fixture.start();
    // Nothing acknowledged is missing: the last order is on the stream.
    let mut client = Raw::logged_in(venue.address, &fixture.folder, 1, 1);
    client.hear_of(b'A', 40);
    stop_in_order(venue);
    assert!(replay(&fixture.folder.journal()).is_ok());
}

#[test]
fn damage_in_the_middle_is_exit_code_18_and_names_the_place() {
    let (fixture, venue) = traded("durable");
    stop_in_order(venue);
    let places = batches(&fixture);
    let middle = &places[places.len() / 2];
    let path = flip(&fixture, middle);
    let name = path
        .file_name()
        .and_then(|n| n.to_str())
        .expect("a name")
        .to_owned();
    let before = std::fs::read(&path).expect("segment");
    let ended = fixture.serve_ends();
    assert_end(&ended, 18, &["sequence"]);
    let number = name.trim_start_matches('0').trim_end_matches(".segment");
    assert!(ended.log.contains(&format!(
        "segment {}",
        if number.is_empty() { "0" } else { number }
    )));
    assert!(
        ended.log.contains(&middle.offset.to_string()),
        "{}: {}",
        middle.offset,
        ended.log
    );
    assert_eq!(
        std::fs::read(&path).expect("segment"),
        before,
        "nothing was touched"
    );
    // Mended from a copy, it serves.
    flip(&fixture, middle);
    stop_in_order(fixture.start());
}

#[test]
fn the_last_batch_before_an_orderly_stop_is_not_a_torn_tail() {
    let (fixture, venue) = traded("durable");
    stop_in_order(venue);
    let places = batches(&fixture);
    let last = *places.last().expect("batches");
    flip(&fixture, &last);
    // The hard state proves that it was complete: cutting it would lose what was acknowledged.
    assert_end(&fixture.serve_ends(), 18, &["sequence"]);
    flip(&fixture, &last);
    stop_in_order(fixture.start());
}
