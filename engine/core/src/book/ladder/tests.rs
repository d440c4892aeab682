//! A ladder, its window and its trie, against an ordered set.

use super::*;
use alloc::collections::BTreeSet;
use proptest::prelude::*;

type Lane = (Best, Ladder);
const EMPTY: Lane = (Best::NONE, Ladder::EMPTY);

fn occupy(pool: &mut LevelPool, (best, ladder): &mut Lane, key: u32) {
    let id = pool.occupy(best, ladder, Key(key));
    *pool.level_mut(id) = Level {
        head: 0,
        tail: 0,
        quantity: 1,
    };
}

fn vacate(pool: &mut LevelPool, (best, ladder): &mut Lane, key: u32) {
    let id = pool.find_occupied(ladder, Key(key));
    *pool.level_mut(id) = EMPTY_LEVEL;
    pool.vacate(best, ladder, id);
}

/// Keys that collide in many digits, and some that do not.
fn key() -> impl Strategy<Value = u32> {
    prop_oneof![
        0..200u32,
        // Several windows, so that leaves come into one and go out of it.
        0..1_500u32,
        (0..40u32).prop_map(|i| i * 1024),
        (0..40u32).prop_map(|i| i * 65_536 + 3),
        (0..=30u32).prop_map(|i| (1 << i) | 5),
        0..=TICK_MAX,
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// The trie against an ordered set: same members, same best, same order, after every step; and
    /// the pool never holds more leaves and nodes than levels.
    #[test]
    fn agrees_with_an_ordered_set(keys in proptest::collection::vec(key(), 1..300)) {
        let mut pool = LevelPool::new();
        pool.grow(300);
        let mut lane = EMPTY;
        let mut set = BTreeSet::new();
        for key in keys {
            if set.remove(&key) {
                vacate(&mut pool, &mut lane, key);
            } else {
                set.insert(key);
                occupy(&mut pool, &mut lane, key);
            }
            prop_assert_eq!(pool.check(&lane.0, &lane.1), Ok(set.len() as u32));
            prop_assert_eq!(pool.occupied() as usize, set.len());
            for probe in [key, key.saturating_sub(1), key.wrapping_add(1) & TICK_MAX, 0] {
                let id = pool.at_or_behind(&lane.1, Key(probe));
                let found = (id != NONE).then(|| pool.key(id).0);
                prop_assert_eq!(found, set.range(probe..).next().copied());
                prop_assert_eq!(pool.find_occupied(&lane.1, Key(probe)) != NONE, set.contains(&probe));
            }
        }
        let mut walked = Vec::new();
        let mut id = lane.0.level;
        while id != NONE {
            walked.push(pool.key(id).0);
            id = pool.behind(&lane.1, id);
        }
        prop_assert!(walked.iter().eq(set.iter()));
        for key in set {
            vacate(&mut pool, &mut lane, key);
        }
        prop_assert!(lane.1.root == NONE && lane.0.is_none());
        prop_assert!(lane.1.near.iter().all(|&leaf| leaf == NONE));
        // Everything is back on the free lists.
        let free = |mut at: u32, next: &dyn Fn(u32) -> u32| {
            let mut count = 0;
            while at != NONE {
                count += 1;
                at = next(at);
            }
            count
        };
        prop_assert_eq!(free(pool.free_leaf, &|i| pool.leaves[i as usize].base), 300);
        prop_assert_eq!(free(pool.free_node, &|i| pool.nodes[i as usize].prefix), 300);
    }
}

#[test]
fn best_is_the_highest_bid_and_the_lowest_ask() {
    for (side, best) in [(Side::Buy, 9), (Side::Sell, 3)] {
        let mut pool = LevelPool::new();
        pool.grow(4);
        let mut lane = EMPTY;
        for tick in [7, 3, 9] {
            occupy(&mut pool, &mut lane, Key::of(side, tick).0);
        }
        assert_eq!(lane.0.key.tick(side), best);
    }
}
