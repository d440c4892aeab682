//! Arbitrary bytes in every file: an answer, never a panic, and never a batch that does not verify.

use super::*;
use proptest::prelude::*;

/// Garbage that looks like something: pieces of a real journal, zeros, noise.
fn piece() -> impl Strategy<Value = Piece> {
    prop_oneof![
        2 => (0usize..24_576, 0usize..24_576, 1usize..3000).prop_map(|(from, to, length)| Piece::Copy { from, to, length }),
        2 => (0usize..24_576, prop::collection::vec(any::<u8>(), 1..300)).prop_map(|(at, bytes)| Piece::Noise { at, bytes }),
        1 => (0usize..24_576, 1usize..9000).prop_map(|(at, length)| Piece::Zeros { at, length }),
        1 => (0usize..24_576).prop_map(|at| Piece::Magic { at }),
    ]
}

#[derive(Clone, Debug)]
enum Piece {
    Copy {
        from: usize,
        to: usize,
        length: usize,
    },
    Noise {
        at: usize,
        bytes: Vec<u8>,
    },
    Zeros {
        at: usize,
        length: usize,
    },
    Magic {
        at: usize,
    },
}

impl Piece {
    fn apply(&self, file: &mut [u8]) {
        let end = file.len();
        match self {
            Self::Copy { from, to, length } => {
                let length = (*length)
                    .min(end.saturating_sub(*from))
                    .min(end.saturating_sub(*to));
                if length > 0 {
                    file.copy_within(*from..*from + length, *to);
                }
            }
            Self::Noise { at, bytes } => {
                for (offset, byte) in bytes.iter().enumerate().take(end.saturating_sub(*at)) {
                    file[at + offset] = *byte;
                }
            }
            Self::Zeros { at, length } => file[(*at).min(end)..(at + length).min(end)].fill(0),
            Self::Magic { at } => {
                let at = at / 64 * 64;
                if at + 8 <= end {
                    file[at..at + 8].copy_from_slice(b"LKSBATCH");
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn arbitrary_bytes_never_panic(
        pieces in prop::collection::vec((0usize..4, piece()), 1..12),
        ring_pieces in prop::collection::vec(piece(), 0..6),
        length in prop::option::of(0usize..13_000),
    ) {
        thread_local! {
            static GOOD: Crashed = Crashed::new(9, 2, 2, false);
        }
        GOOD.with(|good| {
            let crashed = Crashed {
                storage: good.storage.copy(),
                meta: good.meta,
                ring: good.ring.clone(),
                appended: good.appended.clone(),
                boot_id: good.boot_id,
            };
            let names = [segment_name(0), segment_name(1), HARD_STATE_NAME.to_owned(), META_NAME.to_owned()];
            for (file, piece) in &pieces {
                let mut bytes = crashed.storage.get(&names[*file]).unwrap_or_default();
                piece.apply(&mut bytes);
                crashed.storage.put(&names[*file], &bytes);
            }
            if let Some(length) = length {
                let mut bytes = crashed.storage.get(&names[1]).unwrap_or_default();
                bytes.resize(length, 0);
                crashed.storage.put(&names[1], &bytes);
            }
            let mut ring = crashed.ring.clone();
            ring_pieces.iter().for_each(|piece| piece.apply(&mut ring));
            let _ = read_meta(&crashed.storage);
            crate::verify::verify(&crashed.storage, &crashed.meta).unwrap();
            for ring in [None, Some(&ring[..])] {
                if let Ok(recovery) = crashed.recover(ring) {
                    // Whatever it accepted is a prefix of what was written.
                    crashed.recover_and_apply(ring);
                    prop_assert!(recovery.tail.index <= 9);
                }
            }
            Ok(())
        })?;
    }
}
