//! How often a login may be tried: by address, by user, by time. A plain state machine over time.
//!
//! Failed passwords are counted against the address that sent them and against the user they were for;
//! accepted logins against the user. A count falls by one in each period. Above its maximum a login is
//! refused without a look at the password. Nobody can lock a user out of the address that he has logged in
//! from: there his user's count does not bind. Tables are bounded; what they cannot tell apart is counted
//! together.

use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;

/// `[logins]` of the configuration. A maximum of 0 is no limit.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct LoginsConfig {
    /// Failed logins from one address (IPv6: one /64) after which it is refused.
    pub address_failures_max: u32,
    /// Failed logins for one user, from wherever, after which he is refused at addresses that are new to him.
    pub user_failures_max: u32,
    /// In this time one failure is forgotten.
    pub failure_period_ms: u64,
    /// Accepted logins of one user after which he is refused.
    pub user_logins_max: u32,
    /// In this time one of them is forgotten.
    pub login_period_ms: u64,
    /// Addresses told apart.
    pub addresses_max: u32,
}

impl Default for LoginsConfig {
    fn default() -> Self {
        Self {
            address_failures_max: 100,
            user_failures_max: 20,
            failure_period_ms: 3_000,
            user_logins_max: 100,
            login_period_ms: 500,
            addresses_max: 4_096,
        }
    }
}

impl LoginsConfig {
    /// The error names the key and what is allowed.
    pub fn check(&self) -> Result<(), String> {
        if self.failure_period_ms == 0 || self.login_period_ms == 0 {
            return Err("logins.failure_period_ms and login_period_ms must not be 0".into());
        }
        if !(8..=1 << 20).contains(&self.addresses_max) {
            return Err("logins.addresses_max: must be 8..=1048576".into());
        }
        Ok(())
    }
}

/// A count that falls by one in each period.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Tally {
    count: u32,
    /// When the count last fell, or began.
    since_ns: u64,
}

impl Tally {
    fn settle(&mut self, now_ns: u64, period_ns: u64) {
        let periods = now_ns.saturating_sub(self.since_ns) / period_ns;
        if periods >= u64::from(self.count) {
            *self = Self::default();
        } else {
            self.count -= periods as u32;
            self.since_ns += periods * period_ns;
        }
    }

    fn add(&mut self, now_ns: u64) {
        if self.count == 0 {
            self.since_ns = now_ns;
        }
        self.count = self.count.saturating_add(1);
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct UserEntry {
    failures: Tally,
    logins: Tally,
    /// Where he last logged in from.
    good_address: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct AddressEntry {
    address: u64,
    failures: Tally,
}

/// Entries of one set of the address table.
const WAYS: usize = 8;

/// Who has tried how often.
#[derive(Debug)]
pub struct LoginLimits {
    config: LoginsConfig,
    failure_period_ns: u64,
    login_period_ns: u64,
    /// Sets of `WAYS`; an entry whose count is 0 is free.
    addresses: Vec<[AddressEntry; WAYS]>,
    hasher: RandomState,
    /// Failures from addresses that found their set full of others.
    crowd: Tally,
    /// Users that exist, so no more than there are sessions.
    users: HashMap<[u8; 6], UserEntry>,
}

/// What is told apart: an IPv4 address, or an IPv6 /64.
fn key(address: IpAddr) -> u64 {
    match address.to_canonical() {
        // No IPv6 /64 in use begins with these bits.
        IpAddr::V4(v4) => 0xFFFF_FFFF_0000_0000 | u64::from(v4.to_bits()),
        IpAddr::V6(v6) => (v6.to_bits() >> 64) as u64,
    }
}

fn reached(tally: Tally, max: u32) -> bool {
    max != 0 && tally.count >= max
}

impl LoginLimits {
    /// `users_max`: as many users as there can be.
    pub fn new(config: LoginsConfig, users_max: usize) -> Self {
        const MS: u64 = 1_000_000;
        let sets = (config.addresses_max as usize).div_ceil(WAYS).max(1);
        Self {
            failure_period_ns: config.failure_period_ms.saturating_mul(MS).max(1),
            login_period_ns: config.login_period_ms.saturating_mul(MS).max(1),
            addresses: vec![[AddressEntry::default(); WAYS]; sets],
            hasher: RandomState::new(),
            crowd: Tally::default(),
            users: HashMap::with_capacity(users_max),
            config,
        }
    }

    /// Failures of an address and whether the entry is its own; otherwise they are the crowd's.
    fn failures(&mut self, address: u64, now_ns: u64) -> (&mut Tally, bool) {
        let set = (self.hasher.hash_one(address) % self.addresses.len() as u64) as usize;
        let set = &mut self.addresses[set];
        for entry in set.iter_mut() {
            entry.failures.settle(now_ns, self.failure_period_ns);
        }
        let own = |e: &AddressEntry| e.failures.count != 0 && e.address == address;
        let free = |e: &AddressEntry| e.failures.count == 0;
        let found = set
            .iter()
            .position(own)
            .or_else(|| set.iter().position(free));
        if let Some(i) = found {
            set[i].address = address;
            return (&mut set[i].failures, true);
        }
        self.crowd.settle(now_ns, self.failure_period_ns);
        (&mut self.crowd, false)
    }

    /// Whether a login may be tried now.
    pub fn allows(&mut self, user: &[u8; 6], address: IpAddr, now_ns: u64) -> bool {
        let address = key(address);
        let (failure_period, login_period) = (self.failure_period_ns, self.login_period_ns);
        let mut at_home = false;
        if let Some(entry) = self.users.get_mut(user) {
            entry.failures.settle(now_ns, failure_period);
            entry.logins.settle(now_ns, login_period);
            at_home = entry.good_address == Some(address);
            let failed = reached(entry.failures, self.config.user_failures_max) && !at_home;
            if failed || reached(entry.logins, self.config.user_logins_max) {
                return false;
            }
        }
        let max = self.config.address_failures_max;
        let (failures, own) = self.failures(address, now_ns);
        // Whom the table cannot hold is refused for what others did, but not where he is known.
        at_home && !own || !reached(*failures, max)
    }

    /// A password was wrong; `known`: there is such a user.
    pub fn note_failure(&mut self, user: &[u8; 6], known: bool, address: IpAddr, now_ns: u64) {
        self.failures(key(address), now_ns).0.add(now_ns);
        if known {
            let entry = self.users.entry(*user).or_default();
            entry.failures.settle(now_ns, self.failure_period_ns);
            entry.failures.add(now_ns);
        }
    }

    /// A password was right.
    pub fn note_success(&mut self, user: &[u8; 6], address: IpAddr, now_ns: u64) {
        let entry = self.users.entry(*user).or_default();
        entry.logins.settle(now_ns, self.login_period_ns);
        entry.logins.add(now_ns);
        entry.good_address = Some(key(address));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    const SECOND: u64 = 1_000_000_000;
    const ALICE: [u8; 6] = *b"ALICE ";
    const BOB: [u8; 6] = *b"BOB   ";

    fn limits() -> LoginLimits {
        let config = LoginsConfig {
            address_failures_max: 5,
            user_failures_max: 3,
            failure_period_ms: 1_000,
            user_logins_max: 4,
            login_period_ms: 1_000,
            addresses_max: 16,
        };
        LoginLimits::new(config, 8)
    }

    fn v4(last: u8) -> IpAddr {
        Ipv4Addr::new(10, 0, 0, last).into()
    }

    #[test]
    fn an_address_that_fails_too_often_is_refused_and_forgiven() {
        let mut limits = limits();
        for _ in 0..5 {
            assert!(limits.allows(&BOB, v4(1), SECOND));
            limits.note_failure(&BOB, false, v4(1), SECOND);
        }
        assert!(!limits.allows(&BOB, v4(1), SECOND));
        assert!(
            !limits.allows(&ALICE, v4(1), SECOND),
            "whoever it says it is"
        );
        assert!(limits.allows(&ALICE, v4(2), SECOND), "another address");
        assert!(!limits.allows(&BOB, v4(1), 2 * SECOND - 1));
        assert!(limits.allows(&BOB, v4(1), 2 * SECOND), "one is forgotten");
        limits.note_failure(&BOB, false, v4(1), 2 * SECOND);
        assert!(!limits.allows(&BOB, v4(1), 2 * SECOND));
        assert!(limits.allows(&BOB, v4(1), 100 * SECOND));
    }

    /// Guesses from many addresses at one user must not lock the user out where he is at home.
    #[test]
    fn guesses_at_a_user_bind_strangers_only() {
        let mut limits = limits();
        limits.note_success(&ALICE, v4(1), SECOND);
        for from in 10..13 {
            limits.note_failure(&ALICE, true, v4(from), SECOND);
        }
        assert!(!limits.allows(&ALICE, v4(20), SECOND));
        assert!(limits.allows(&ALICE, v4(1), SECOND));
        assert!(limits.allows(&BOB, v4(20), SECOND));
        assert!(limits.allows(&ALICE, v4(20), 2 * SECOND));
    }

    #[test]
    fn a_user_who_logs_in_again_and_again_is_slowed_down() {
        let mut limits = limits();
        for _ in 0..4 {
            assert!(limits.allows(&ALICE, v4(1), SECOND));
            limits.note_success(&ALICE, v4(1), SECOND);
        }
        assert!(!limits.allows(&ALICE, v4(1), SECOND));
        assert!(
            limits.allows(&BOB, v4(1), SECOND),
            "others of that address are not"
        );
        assert!(limits.allows(&ALICE, v4(1), 2 * SECOND));
    }

    /// More addresses than the table holds: memory stays, and the rest is counted together.
    #[test]
    fn a_crowd_of_addresses_is_bounded_and_does_not_lock_out_who_is_known() {
        let mut limits = limits();
        limits.note_success(&ALICE, v4(200), SECOND);
        let before = limits.addresses.len();
        let mut refused = 0;
        for host in 0..=255u8 {
            for net in 0..8u8 {
                let address: IpAddr = Ipv4Addr::new(172, 16, net, host).into();
                if limits.allows(&BOB, address, SECOND) {
                    limits.note_failure(&BOB, false, address, SECOND);
                } else {
                    refused += 1;
                }
            }
        }
        assert_eq!(limits.addresses.len(), before);
        assert!(refused > 2000, "{refused} of 2048");
        assert!(limits.allows(&ALICE, v4(200), SECOND));
        assert!(limits.users.len() == 1, "unknown users are not remembered");
    }

    #[test]
    fn an_ipv6_network_is_one_address_and_a_mapped_one_is_ipv4() {
        let v6 = |low: u16| IpAddr::from(Ipv6Addr::new(0x2001, 0xdb8, 1, 2, 0, 0, 0, low));
        assert_eq!(key(v6(1)), key(v6(2)));
        let mapped = IpAddr::from(Ipv4Addr::new(10, 0, 0, 1).to_ipv6_mapped());
        assert_eq!(key(mapped), key(v4(1)));
        assert_ne!(key(v4(1)), key(v4(2)));
    }

    #[test]
    fn zero_is_no_limit() {
        let config = LoginsConfig {
            address_failures_max: 0,
            user_failures_max: 0,
            user_logins_max: 0,
            ..LoginsConfig::default()
        };
        let mut limits = LoginLimits::new(config, 8);
        for _ in 0..1000 {
            limits.note_failure(&ALICE, true, v4(1), SECOND);
            limits.note_success(&ALICE, v4(2), SECOND);
        }
        assert!(limits.allows(&ALICE, v4(1), SECOND));
        assert!(LoginsConfig::default().check().is_ok());
    }
}
