//! The driver chosen at start. One predictable branch a call; everything behind it is static.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use crate::connections::Connections;
use crate::epoll::EpollDriver;
use crate::error::NetError;
use crate::limits::Limits;
use crate::probe::probe;
use crate::seam::{ConnectionId, Driver, DriverStats, Handler, ListenerId};
use crate::uring::UringDriver;
use crate::waker::Waker;

/// Which driver to use.
#[derive(Copy, Clone, Default, Eq, PartialEq, Debug)]
pub enum DriverKind {
    /// io_uring where the host allows it, else epoll.
    #[default]
    Auto,
    /// io_uring or an error.
    IoUring,
    /// epoll.
    Epoll,
}

impl DriverKind {
    /// The name in configurations and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::IoUring => "io_uring",
            Self::Epoll => "epoll",
        }
    }
}

impl fmt::Display for DriverKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The name is none of `auto`, `io_uring`, `epoll`.
#[derive(Clone, Debug, thiserror::Error)]
#[error("there is no driver {0:?}; choose auto, io_uring or epoll")]
pub struct UnknownDriver(pub String);

impl FromStr for DriverKind {
    type Err = UnknownDriver;

    fn from_str(name: &str) -> Result<Self, UnknownDriver> {
        [Self::Auto, Self::IoUring, Self::Epoll]
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| UnknownDriver(name.to_owned()))
    }
}

/// Either driver.
#[derive(Debug)]
pub enum AnyDriver {
    /// io_uring.
    IoUring(Box<UringDriver>),
    /// epoll.
    Epoll(Box<EpollDriver>),
}

impl AnyDriver {
    /// Makes the driver on the thread that will poll it; `Auto` chooses as [`probe`] reports.
    ///
    /// # Errors
    /// As [`UringDriver::new`] and [`EpollDriver::new`].
    pub fn new(kind: DriverKind, limits: &Limits) -> Result<Self, NetError> {
        let chosen = if kind == DriverKind::Auto {
            probe().chosen()
        } else {
            kind
        };
        match chosen {
            DriverKind::IoUring => UringDriver::new(limits).map(|it| Self::IoUring(Box::new(it))),
            _ => EpollDriver::new(limits).map(|it| Self::Epoll(Box::new(it))),
        }
    }

    /// Which one it is: `IoUring` or `Epoll`.
    #[must_use]
    pub fn kind(&self) -> DriverKind {
        match self {
            Self::IoUring(_) => DriverKind::IoUring,
            Self::Epoll(_) => DriverKind::Epoll,
        }
    }
}

macro_rules! either {
    ($self:expr, $driver:ident => $call:expr) => {
        match $self {
            AnyDriver::IoUring($driver) => $call,
            AnyDriver::Epoll($driver) => $call,
        }
    };
}

impl Driver for AnyDriver {
    fn listen(
        &mut self,
        address: SocketAddr,
        backlog: u32,
    ) -> Result<(ListenerId, SocketAddr), NetError> {
        either!(self, driver => driver.listen(address, backlog))
    }

    fn connect(&mut self, address: SocketAddr) -> Result<ConnectionId, NetError> {
        either!(self, driver => driver.connect(address))
    }

    fn poll<H: Handler>(&mut self, handler: &mut H) -> usize {
        either!(self, driver => driver.poll(handler))
    }

    fn set_waker(&mut self, waker: &Waker) {
        either!(self, driver => driver.set_waker(waker));
    }

    fn wait(&mut self, timeout: Duration) {
        either!(self, driver => driver.wait(timeout));
    }

    fn flush(&mut self) {
        either!(self, driver => driver.flush());
    }

    fn connections(&mut self) -> &mut Connections {
        either!(self, driver => driver.connections())
    }

    fn stats(&self) -> &DriverStats {
        either!(self, driver => driver.stats())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_others_are_refused() {
        for kind in [DriverKind::Auto, DriverKind::IoUring, DriverKind::Epoll] {
            assert_eq!(kind.to_string().parse::<DriverKind>().unwrap(), kind);
        }
        let error = "kqueue".parse::<DriverKind>().unwrap_err();
        assert!(
            error.to_string().contains("choose auto, io_uring or epoll"),
            "{error}"
        );
    }
}
