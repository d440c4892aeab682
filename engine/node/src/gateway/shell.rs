//! The agent around the gateway: owns the driver, which must be made on the thread that uses it.

use super::{Gateway, Out, StreamSource};
use crate::agent::{Agent, Now};
use crate::fatal::{ExitCode, Fatal};
use crate::status::Status;
use lockstep_net::{
    AnyDriver, Close, CloseReason, ConnectionId, Connections, Driver, DriverKind, Handler, Limits,
    ListenerId, Waker,
};
use lockstep_record::Sequence;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

/// How long a stopping gateway waits for clients to take their last messages.
const STOP_FLUSH_NS_MAX: u64 = 1_000_000_000;
const BACKLOG: u32 = 1024;

/// What the agent needs beside the gateway.
#[derive(Debug)]
pub struct GatewaySetup {
    pub driver: DriverKind,
    pub limits: Limits,
    pub listen: SocketAddr,
    /// Listen once every record up to this one has been applied (definitions, day open).
    pub ready: Sequence,
    /// Told the bound address and the driver that runs, once.
    pub listening: SyncSender<(SocketAddr, &'static str)>,
    pub status: Arc<Status>,
    /// Rung by the engine; only where the gateway's thread parks and the engine is on another.
    pub waker: Option<Waker>,
}

pub struct GatewayAgent<S> {
    gateway: Gateway<S>,
    setup: GatewaySetup,
    driver: AnyDriver,
    listening: bool,
    stop_began_ns: Option<u64>,
}

impl<S> std::fmt::Debug for GatewayAgent<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GatewayAgent")
            .field("setup", &self.setup)
            .finish_non_exhaustive()
    }
}

impl<S: StreamSource> GatewayAgent<S> {
    /// Makes the driver: call on the thread that will run the agent.
    pub fn new(gateway: Gateway<S>, setup: GatewaySetup) -> Result<Self, Fatal> {
        let mut driver = AnyDriver::new(setup.driver, &setup.limits)
            .map_err(|e| Fatal::new(ExitCode::Setup, format!("network driver: {e}")))?;
        if let Some(waker) = &setup.waker {
            driver.set_waker(waker);
        }
        Ok(Self {
            gateway,
            setup,
            driver,
            listening: false,
            stop_began_ns: None,
        })
    }

    #[cold]
    fn listen_when_ready(&mut self) -> Result<(), Fatal> {
        if self.setup.status.applied_sequence() < self.setup.ready {
            return Ok(());
        }
        let (_, bound) = self
            .driver
            .listen(self.setup.listen, BACKLOG)
            .map_err(|e| Fatal::new(ExitCode::Bind, format!("network.listen: {e}")))?;
        self.listening = true;
        // The receiver may be gone (nobody cares for the address); that is no reason to stop.
        let _ = self
            .setup
            .listening
            .try_send((bound, self.driver.kind().name()));
        Ok(())
    }
}

impl<S: StreamSource> Agent for GatewayAgent<S> {
    fn name(&self) -> &'static str {
        "gateway"
    }

    fn do_work(&mut self, now: Now) -> Result<usize, Fatal> {
        if !self.listening {
            self.listen_when_ready()?;
        }
        // Answers leave before requests are taken: whoever waits for one does not wait for what others
        // send meanwhile.
        let connections = self.driver.connections();
        let mut work = self.gateway.do_work(now.monotonic_ns, connections)?;
        self.driver.flush();
        work += self.driver.poll(&mut Callbacks {
            gateway: &mut self.gateway,
        });
        Ok(work)
    }

    fn park(&mut self, timeout: Duration) -> bool {
        let Some(waker) = &self.setup.waker else {
            self.driver.wait(timeout);
            return true;
        };
        waker.announce();
        // What came between the last look and the announcement rings no bell.
        if self.gateway.egress_is_drained() {
            self.driver.wait(timeout);
        }
        waker.retract();
        true
    }

    fn on_stop_requested(&mut self) {
        self.gateway.close_intake();
    }

    /// The last stage: everything is in the egress ring. Give clients a moment to take it.
    fn on_stop(&mut self, now: Now) -> Result<bool, Fatal> {
        let began = *self.stop_began_ns.get_or_insert(now.monotonic_ns);
        if now.monotonic_ns - began > STOP_FLUSH_NS_MAX {
            return Ok(true);
        }
        Ok(self.gateway.egress_is_drained() && !self.gateway.has_unsent(self.driver.connections()))
    }

    fn awaits(&self) -> String {
        "clients to take their last messages".to_owned()
    }
}

struct Callbacks<'a, S> {
    gateway: &'a mut Gateway<S>,
}

impl<S: StreamSource> Handler for Callbacks<'_, S> {
    fn accepted(
        &mut self,
        connections: &mut Connections,
        _: ListenerId,
        connection: ConnectionId,
        peer: SocketAddr,
    ) {
        self.gateway.handle_accepted(connection, peer, connections);
    }

    fn connected(
        &mut self,
        _: &mut Connections,
        _: ConnectionId,
        _: Result<(), std::io::ErrorKind>,
    ) {
        unreachable!("the gateway connects to nobody");
    }

    fn received(&mut self, connections: &mut Connections, id: ConnectionId, bytes: &[u8]) -> usize {
        self.gateway.handle_received(id, bytes, connections)
    }

    fn sendable(&mut self, _: &mut Connections, _: ConnectionId) {
        // Connections that are behind are looked at in every duty cycle.
    }

    fn closed(&mut self, _: &mut Connections, id: ConnectionId, why: CloseReason) {
        let by_error = !matches!(why, CloseReason::PeerClosed | CloseReason::Local);
        self.gateway.handle_closed(id, by_error);
    }
}

impl Out for Connections {
    #[inline]
    fn send_all(&mut self, connection: ConnectionId, bytes: &[u8]) -> bool {
        if Connections::send_room(self, connection) < bytes.len() {
            return false;
        }
        self.send(connection, bytes) == bytes.len()
    }

    fn send_room(&self, connection: ConnectionId) -> usize {
        Connections::send_room(self, connection)
    }

    fn send_pending(&self, connection: ConnectionId) -> usize {
        Connections::send_pending(self, connection)
    }

    fn pause(&mut self, connection: ConnectionId) {
        Connections::pause(self, connection);
    }

    fn resume(&mut self, connection: ConnectionId) {
        Connections::resume(self, connection);
    }

    fn close_after_flush(&mut self, connection: ConnectionId) {
        self.close(connection, Close::AfterFlush);
    }

    fn close_now(&mut self, connection: ConnectionId) {
        self.close(connection, Close::Now);
    }
}
