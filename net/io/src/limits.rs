//! Every bound of a driver, fixed when it is made. A bound that is reached slows or ends the peer
//! that reached it, never another, and never the driver.

use std::time::Duration;

use crate::error::NetError;

/// The bounds of one driver. Its memory is `connections_max × (send_buffer_bytes + receive_tail_max +
/// receive_turn_bytes)` of address space, backed by pages only where a connection has used it.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub struct Limits {
    /// Live connections, both directions. More are accepted and closed at once, counted.
    pub connections_max: u32,
    /// Listening sockets.
    pub listeners_max: u32,
    /// Out buffer of one connection, bytes.
    pub send_buffer_bytes: u32,
    /// Most bytes one connection hands to the kernel in one duty cycle.
    pub send_turn_bytes: u32,
    /// Most bytes kept for a handler that waits for the rest of a frame: at least its longest frame.
    pub receive_tail_max: u32,
    /// Most bytes one connection may bring in one duty cycle.
    pub receive_turn_bytes: u32,
    /// The same while a connection that sends little has spoken and this one always has more to bring; then
    /// such connections also take turns, one a duty cycle.
    pub short_turn_bytes: u32,
    /// Most kernel events taken in one duty cycle; the rest waits in the kernel's queue, in order.
    pub events_per_poll_max: u32,
    /// Connections that a listener takes at once; the next ones one each `accept_interval`.
    pub accept_burst: u32,
    /// 0: as fast as they come.
    pub accept_interval: Duration,
    /// How long [`crate::Close::AfterFlush`] waits for the peer before it resets the connection.
    pub close_wait_max: Duration,
}

/// With three operations each, more connections would not fit the largest submission queue.
pub(crate) const CONNECTIONS_MAX_MAX: u32 = 10_000;
pub(crate) const LISTENERS_MAX_MAX: u32 = 64;
const BUFFER_BYTES_MAX: u32 = 1 << 30;
const EVENTS_PER_POLL_MAX_MAX: u32 = 65_536;
const TURN_BYTES_MIN: u32 = 64;

impl Default for Limits {
    /// Room for a thousand sessions and their operators.
    fn default() -> Self {
        Self {
            connections_max: 1_024,
            listeners_max: 8,
            send_buffer_bytes: 256 * 1024,
            send_turn_bytes: 16 * 1024,
            receive_tail_max: 64 * 1024,
            receive_turn_bytes: 2 * 1024,
            short_turn_bytes: 512,
            events_per_poll_max: 256,
            accept_burst: 128,
            accept_interval: Duration::from_millis(4),
            close_wait_max: Duration::from_secs(2),
        }
    }
}

impl Limits {
    pub(crate) fn check(&self) -> Result<(), NetError> {
        let bounds = [
            (
                "connections_max",
                self.connections_max,
                1,
                CONNECTIONS_MAX_MAX,
            ),
            ("listeners_max", self.listeners_max, 0, LISTENERS_MAX_MAX),
            (
                "send_buffer_bytes",
                self.send_buffer_bytes,
                TURN_BYTES_MIN,
                BUFFER_BYTES_MAX,
            ),
            (
                "send_turn_bytes",
                self.send_turn_bytes,
                TURN_BYTES_MIN,
                BUFFER_BYTES_MAX,
            ),
            (
                "receive_tail_max",
                self.receive_tail_max,
                1,
                BUFFER_BYTES_MAX,
            ),
            (
                "receive_turn_bytes",
                self.receive_turn_bytes,
                TURN_BYTES_MIN,
                BUFFER_BYTES_MAX,
            ),
            (
                "short_turn_bytes",
                self.short_turn_bytes,
                TURN_BYTES_MIN,
                BUFFER_BYTES_MAX,
            ),
            (
                "events_per_poll_max",
                self.events_per_poll_max,
                1,
                EVENTS_PER_POLL_MAX_MAX,
            ),
            ("accept_burst", self.accept_burst, 1, u32::MAX),
        ];
        for (what, given, min, max) in bounds {
            if !(min..=max).contains(&given) {
                return Err(NetError::Limit {
                    what,
                    given,
                    min,
                    max,
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bound_is_checked_and_named() {
        assert!(Limits::default().check().is_ok());
        type Case = (&'static str, fn(&mut Limits));
        let cases: [Case; 9] = [
            ("connections_max", |l| l.connections_max = 0),
            ("listeners_max", |l| l.listeners_max = LISTENERS_MAX_MAX + 1),
            ("send_buffer_bytes", |l| l.send_buffer_bytes = 0),
            ("send_turn_bytes", |l| l.send_turn_bytes = 1),
            ("receive_tail_max", |l| l.receive_tail_max = 0),
            ("receive_turn_bytes", |l| l.receive_turn_bytes = u32::MAX),
            ("short_turn_bytes", |l| l.short_turn_bytes = 63),
            ("accept_burst", |l| l.accept_burst = 0),
            ("events_per_poll_max", |l| l.events_per_poll_max = 0),
        ];
        for (name, spoil) in cases {
            let mut limits = Limits::default();
            spoil(&mut limits);
            match limits.check() {
                Err(NetError::Limit { what, .. }) => assert_eq!(what, name),
                other => panic!("{name}: {other:?}"),
            }
        }
    }
}
