//! Identifiers and units. Integers only; prices are 1/10,000, quantities are shares, times are ns.

macro_rules! newtype {
    ($($(#[$doc:meta])* $name:ident($inner:ty);)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
        #[repr(transparent)]
        pub struct $name(pub $inner);

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

newtype! {
    /// An OUCH port. 0 is never a client: it marks records of the operator and of the system.
    SessionId(u32);
    /// A member firm (= account). 0 means none.
    FirmId(u32);
    /// An instrument; at most 65,535, because it is the ITCH stock locate. 0 means none.
    InstrumentId(u32);
    /// Counts the logins of a session; records of an older epoch are stale. 0: never logged in.
    ConnectionEpoch(u32);
    /// Shard of the books. Always 0 today.
    Partition(u16);
    /// Position of a record in the total order, from 1, never reset.
    Sequence(u64);
    /// Position of a batch in the log, from 1 (the Raft index).
    LogIndex(u64);
    /// Raft term.
    Term(u64);
    /// Nanoseconds since the Unix epoch, UTC.
    Timestamp(u64);
    /// The venue's order id; never reset.
    OrderReference(u64);
    /// Same number on both sides of a trade; never reset.
    MatchNumber(u64);
    /// Unsigned price in 1/10,000 of the currency unit, as on the wire.
    Price(u64);
    /// Number of a message on a session's outbound stream, from 1 each trading day.
    StreamNumber(u64);
}

impl SessionId {
    /// The operator and the system: no client session.
    pub const NONE: Self = Self(0);
}

/// Two sides of the book; the wire's `T` and `E` (short, short exempt) are sells.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Side {
    Buy = 0,
    Sell = 1,
}

impl Side {
    pub const fn opposite(self) -> Self {
        match self {
            Self::Buy => Self::Sell,
            Self::Sell => Self::Buy,
        }
    }
}
