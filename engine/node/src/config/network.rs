//! The section `network`: where clients connect, and what a connection may cost.

use super::check::power_of_two;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq, Default)]
#[serde(rename_all = "snake_case")]
pub enum DriverChoice {
    /// io_uring where the kernel allows it, else epoll.
    #[default]
    Auto,
    IoUring,
    Epoll,
}

#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct NetworkConfig {
    /// Where OUCH clients connect; port 0 lets the system choose.
    pub listen: SocketAddr,
    #[serde(default)]
    pub driver: DriverChoice,
    #[serde(default = "defaults::connections_max")]
    pub connections_max: u32,
    /// Outbound bytes kept per connection before it reads from its stream file instead.
    #[serde(default = "defaults::send_buffer_bytes")]
    pub send_buffer_bytes: u32,
    /// A connection that has not logged in by then is closed.
    #[serde(default = "defaults::login_timeout_ms")]
    pub login_timeout_ms: u64,
    /// Silence after which a heartbeat is sent.
    #[serde(default = "defaults::heartbeat_ms")]
    pub heartbeat_ms: u64,
    /// Silence of the peer after which its connection is closed.
    #[serde(default = "defaults::peer_timeout_ms")]
    pub peer_timeout_ms: u64,
    /// Bytes of the ring between gateway and sequencer; a power of two.
    #[serde(default = "defaults::ingress_ring_bytes")]
    pub ingress_ring_bytes: u32,
    /// Bytes of the ring between engine and gateway; a power of two.
    #[serde(default = "defaults::egress_ring_bytes")]
    pub egress_ring_bytes: u32,
}

impl NetworkConfig {
    pub(super) fn check_rings(&self) -> Result<(), String> {
        let (ingress, egress) = (self.ingress_ring_bytes, self.egress_ring_bytes);
        power_of_two("network.ingress_ring_bytes", u64::from(ingress), 64 << 10)?;
        power_of_two("network.egress_ring_bytes", u64::from(egress), 64 << 10)
    }

    pub(super) fn check(&self) -> Result<(), String> {
        if self.connections_max == 0 || self.connections_max > 65_536 {
            return Err("network.connections_max: must be 1..=65536".into());
        }
        if self.send_buffer_bytes < 16 << 10 {
            return Err("network.send_buffer_bytes: must be at least 16384".into());
        }
        if self.heartbeat_ms == 0 || self.peer_timeout_ms == 0 {
            return Err("network.heartbeat_ms and peer_timeout_ms must not be 0".into());
        }
        Ok(())
    }
}

mod defaults {
    pub fn connections_max() -> u32 {
        1024
    }
    pub fn send_buffer_bytes() -> u32 {
        128 << 10
    }
    pub fn login_timeout_ms() -> u64 {
        30_000
    }
    pub fn heartbeat_ms() -> u64 {
        1_000
    }
    pub fn peer_timeout_ms() -> u64 {
        15_000
    }
    pub fn ingress_ring_bytes() -> u32 {
        4 << 20
    }
    pub fn egress_ring_bytes() -> u32 {
        8 << 20
    }
}
