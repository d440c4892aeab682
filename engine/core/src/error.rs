//! Why a batch cannot be applied, and what a whole-state check can find wrong.
//!
//! Nothing that a client, an operator or a peer can send within a well-formed log causes an
//! [`ApplyError`]: what clients and operators get wrong is answered by events and counted. After an error
//! the state is not to be used: the node stops.

use lockstep_record::{
    InstrumentId, Kind, LogIndex, Partition, RecordError, Sequence, Term, Timestamp,
};
use thiserror::Error;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum ApplyError {
    #[error(
        "record {sequence}: {error}; the log is damaged or of another version: verify the journal"
    )]
    Malformed {
        sequence: Sequence,
        error: RecordError,
    },
    #[error("record {sequence}: body of {length} bytes does not fit kind {} version {version}; verify the journal", kind.0)]
    BodyLength {
        sequence: Sequence,
        kind: Kind,
        version: u8,
        length: u16,
    },
    #[error("batch {index}: {bytes} bytes follow its last record; verify the journal")]
    TrailingBytes { index: LogIndex, bytes: usize },
    #[error("batch has index {found}, the next is {expected}")]
    IndexOutOfOrder { expected: LogIndex, found: LogIndex },
    #[error("batch {index} begins at record {found}, the next is {expected}")]
    SequenceOutOfOrder {
        index: LogIndex,
        expected: Sequence,
        found: Sequence,
    },
    #[error("batch {index} has term {found}, below {last}")]
    TermOutOfOrder {
        index: LogIndex,
        last: Term,
        found: Term,
    },
    #[error("batch {index} has time {found}, not after {last}")]
    TimestampOutOfOrder {
        index: LogIndex,
        last: Timestamp,
        found: Timestamp,
    },
    #[error("batch {index} was made under feature set {found}, this state is at {expected}")]
    FeatureSet {
        index: LogIndex,
        expected: u64,
        found: u64,
    },
    #[error(
        "record {sequence} sets {bound} to {wanted}, this node holds {held}: raise its capacity"
    )]
    BoundsExceedNode {
        sequence: Sequence,
        bound: &'static str,
        wanted: u32,
        held: u32,
    },
    #[error("record {sequence} of kind {} version {version} is unknown and marked halt: run a newer binary", kind.0)]
    HaltPolicy {
        sequence: Sequence,
        kind: Kind,
        version: u8,
    },
    #[error("record {sequence} of kind {} has an unknown part {tag} marked halt: run a newer binary", kind.0)]
    HaltPart {
        sequence: Sequence,
        kind: Kind,
        tag: u16,
    },
    #[error("record {sequence} is for partition {partition}, this state has only 0")]
    Partition {
        sequence: Sequence,
        partition: Partition,
    },
    #[error("an earlier batch could not be applied: start again from the journal")]
    Stopped,
}

/// What [`check_invariants`](crate::StateMachine::check_invariants) found wrong: our bug.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum InvariantError {
    #[error("book of instrument {instrument}: {what}")]
    Book {
        instrument: InstrumentId,
        what: &'static str,
    },
    #[error("{what}")]
    State { what: &'static str },
}
