//! Exit codes: one enum, so that a supervisor and an operator can tell conditions apart.

use std::fmt;

/// Why the process ends. The discriminant is the exit code; codes are never reused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum ExitCode {
    /// Orderly stop.
    Success = 0,
    /// A command's check failed (for example `journal verify` found damage).
    CheckFailed = 1,
    /// The command line could not be understood (clap's own code).
    Usage = 2,
    /// The configuration is missing, unreadable or wrong.
    Configuration = 10,
    /// The journal folder does not exist or is not a journal.
    JournalMissing = 11,
    /// Another process holds the journal.
    JournalLocked = 12,
    /// The journal cannot be written (read-only folder or file system).
    JournalReadOnly = 13,
    /// The disk is full.
    DiskFull = 14,
    /// A read, write or sync failed.
    Io = 15,
    /// Policy `durable` on a volatile file system.
    VolatileStorage = 16,
    /// The journal is of a newer format or uses features this binary lacks.
    NewerFormat = 17,
    /// The journal is damaged where nothing may be cut.
    JournalDamaged = 18,
    /// Replay disagrees with a digest in the log.
    Diverged = 19,
    /// The logged bounds exceed what this node can hold.
    BoundsExceedNode = 20,
    /// The driver, a ring or memory could not be set up.
    Setup = 21,
    /// The listening address could not be bound.
    Bind = 22,
    /// The clock leapt beyond the bound.
    Clock = 23,
    /// No node listens on the admin socket.
    NotRunning = 24,
    /// The admin socket's node says that this user may not do that.
    NotPermitted = 25,
}

impl ExitCode {
    pub const ALL: &[Self] = &[
        Self::Success,
        Self::CheckFailed,
        Self::Usage,
        Self::Configuration,
        Self::JournalMissing,
        Self::JournalLocked,
        Self::JournalReadOnly,
        Self::DiskFull,
        Self::Io,
        Self::VolatileStorage,
        Self::NewerFormat,
        Self::JournalDamaged,
        Self::Diverged,
        Self::BoundsExceedNode,
        Self::Setup,
        Self::Bind,
        Self::Clock,
        Self::NotRunning,
        Self::NotPermitted,
    ];
}

/// A condition of the environment that ends the process: what, where, what to do.
#[derive(Debug)]
pub struct Fatal {
    pub code: ExitCode,
    pub message: String,
}

impl Fatal {
    pub fn new(code: ExitCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

impl fmt::Display for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (exit code {})", self.message, self.code as u8)
    }
}

impl std::error::Error for Fatal {}
