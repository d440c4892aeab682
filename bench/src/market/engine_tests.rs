//! The replay against the venue's own state machine.

use super::lobster::{LobsterFiles, symbol_of};
use super::replay::ReplayOptions;
use super::run::{RunLimits, run};
use crate::client::request::symbol;
use crate::local::{LocalLimits, LocalVenue};
use std::path::{Path, PathBuf};

const USERS: [[u8; 6]; 3] = [*b"MAKER ", *b"TAKER ", *b"REVEAL"];

fn data() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data"))
}

/// Replays a real file; returns the state hash, or `None` where the file is absent.
fn replay(path: &Path, rows_min: u64) -> Option<[u8; 32]> {
    if !path.exists() {
        println!("SKIP: {} is absent", path.display());
        return None;
    }
    let ticker = symbol(&symbol_of(path).expect("a LOBSTER name")).expect("a symbol");
    let mut venue =
        LocalVenue::new(&USERS, &[ticker], LocalLimits::default()).expect("definitions");
    let mut files = LobsterFiles::open(path).expect("readable files");
    let limits = RunLimits::default();
    let mut options = ReplayOptions::new(ticker);
    options.cancels_at_end = false;
    let report = run(&mut files, &mut venue, options, limits, &mut |_| {}).expect("sound");
    println!("{}\n{report}", path.display());
    assert!(report.is_clean(), "{report}");
    assert!(report.compared.rows >= rows_min, "{report}");
    venue.machine().check_invariants().expect("sound books");
    Some(venue.state_hash())
}

#[test]
fn amazon_agrees_with_the_engine() {
    replay(&data().join("AMZN_message_kv6003.csv.xz"), 43_500);
}

#[test]
fn apple_agrees_with_the_engine_and_does_so_again() {
    let path = data().join("AAPL_2012-06-21_34200000_57600000_message_10_head.csv.xz");
    let first = replay(&path, 950);
    assert_eq!(replay(&path, 950), first);
}
