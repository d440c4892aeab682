//! Hard state: what consensus must never forget, in two alternating synced slots.

use super::{HARD_STATE_NAME, JournalMeta};
use crate::bytes::{get_array, get_u64, put};
use crate::header_block::{self, HeaderBlockError};
use crate::position::BLOCK_LENGTH;
use crate::storage::{Storage, StorageError, StorageFile, WriteMode};
use crate::{BootId, LogBufferId};
use thiserror::Error;

const MAGIC: [u8; 8] = *b"LKSHARDS";
const FORMAT_VERSION: u16 = 0;
const SLOT_LENGTH: usize = BLOCK_LENGTH as usize;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct HardState {
    pub term: u64,
    /// Node voted for in `term`; 0 = none.
    pub vote: u64,
    /// A batch index known to be committed; may lag behind.
    pub commit_index: u64,
    /// Of the log buffer in use; zero after an orderly stop.
    pub log_buffer_id: LogBufferId,
    pub boot_id: BootId,
}

#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum HardStateError {
    #[error(
        "both slots of {HARD_STATE_NAME} are damaged (first: {first}; second: {second}); a solo node's may \
         be restored from a copy, a group's node must join anew"
    )]
    Damaged {
        first: HeaderBlockError,
        second: HeaderBlockError,
    },
    /// Of a newer format, or of another journal.
    #[error("{HARD_STATE_NAME}: {0}")]
    Unusable(HeaderBlockError),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// What reading the file gave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HardStateLoad {
    pub state: HardState,
    pub generation: u64,
    /// One slot was damaged; the other counts.
    pub slot_damaged: Option<HeaderBlockError>,
}

/// The open file; [`HardStateFile::store`] returns when the state is on the medium.
#[derive(Debug)]
pub struct HardStateFile<S: Storage> {
    file: S::File,
    meta: JournalMeta,
    generation: u64,
    state: HardState,
}

impl<S: Storage> HardStateFile<S> {
    /// Opens it for storing; the newest whole slot is in [`Self::state`].
    pub fn open(storage: &S, meta: &JournalMeta) -> Result<Self, HardStateError> {
        let load = HardStateLoad::read(storage, meta)?;
        let file = storage.open(HARD_STATE_NAME, WriteMode::Buffered)?;
        let (generation, state) = (load.generation, load.state);
        Ok(Self {
            file,
            meta: *meta,
            generation,
            state,
        })
    }

    /// As [`Self::open`]; makes the file if it is not there, which only recovery may allow.
    pub fn open_or_create(storage: &S, meta: &JournalMeta) -> Result<Self, HardStateError> {
        if !storage.list()?.iter().any(|name| name == HARD_STATE_NAME) {
            create(storage, meta)?;
            storage.sync_folder()?;
        }
        Self::open(storage, meta)
    }

    pub fn state(&self) -> &HardState {
        &self.state
    }

    /// Synced when it returns. A failure is fatal: what is on the medium is then not known.
    pub fn store(&mut self, state: &HardState) -> Result<(), StorageError> {
        let generation = self.generation + 1;
        let slot = encode(&self.meta, state, generation);
        self.file.write_at((generation % 2) * BLOCK_LENGTH, &slot)?;
        self.file.sync()?;
        (self.generation, self.state) = (generation, *state);
        Ok(())
    }
}

/// The first state of a new journal, in both slots.
pub(super) fn create<S: Storage>(storage: &S, meta: &JournalMeta) -> Result<(), StorageError> {
    let file = storage.create(HARD_STATE_NAME, WriteMode::Buffered)?;
    for generation in [2, 1] {
        let slot = encode(meta, &HardState::default(), generation);
        file.write_at((generation % 2) * BLOCK_LENGTH, &slot)?;
    }
    file.sync()
}

impl HardStateLoad {
    /// Reads both slots, without any lock.
    pub fn read<S: Storage>(storage: &S, meta: &JournalMeta) -> Result<Self, HardStateError> {
        let bytes = storage.map(HARD_STATE_NAME)?;
        let slot = |number: usize| {
            let slot = bytes.get(number * SLOT_LENGTH..(number + 1) * SLOT_LENGTH);
            slot.ok_or(HeaderBlockError::Empty)
                .and_then(|slot| decode(slot, meta))
        };
        let slots = [slot(0), slot(1)];
        for error in slots.iter().filter_map(|slot| slot.err()) {
            match error {
                HeaderBlockError::NewerFormat { .. } | HeaderBlockError::OtherJournal => {
                    return Err(HardStateError::Unusable(error));
                }
                _ => {}
            }
        }
        match slots {
            [Ok(a), Ok(b)] => Ok(Self::newer(a, b)),
            [Ok(found), Err(error)] | [Err(error), Ok(found)] => Ok(Self {
                state: found.1,
                generation: found.0,
                slot_damaged: Some(error),
            }),
            [Err(first), Err(second)] => Err(HardStateError::Damaged { first, second }),
        }
    }

    fn newer(a: (u64, HardState), b: (u64, HardState)) -> Self {
        let (generation, state) = if a.0 > b.0 { a } else { b };
        Self {
            state,
            generation,
            slot_damaged: None,
        }
    }
}

fn encode(meta: &JournalMeta, state: &HardState, generation: u64) -> [u8; SLOT_LENGTH] {
    let mut bytes = [0; SLOT_LENGTH];
    header_block::start(
        &mut bytes,
        MAGIC,
        FORMAT_VERSION,
        meta.cluster_id,
        meta.journal_id,
    );
    put(&mut bytes, 48, &generation.to_le_bytes());
    put(&mut bytes, 56, &state.term.to_le_bytes());
    put(&mut bytes, 64, &state.vote.to_le_bytes());
    put(&mut bytes, 72, &state.commit_index.to_le_bytes());
    put(&mut bytes, 80, &state.log_buffer_id.0);
    put(&mut bytes, 96, &state.boot_id.0);
    header_block::finish(&mut bytes);
    bytes
}

fn decode(bytes: &[u8], meta: &JournalMeta) -> Result<(u64, HardState), HeaderBlockError> {
    let ids = header_block::check(bytes, MAGIC, FORMAT_VERSION)?;
    if ids != (meta.cluster_id, meta.journal_id) {
        return Err(HeaderBlockError::OtherJournal);
    }
    let state = HardState {
        term: get_u64(bytes, 56),
        vote: get_u64(bytes, 64),
        commit_index: get_u64(bytes, 72),
        log_buffer_id: LogBufferId(get_array(bytes, 80)),
        boot_id: BootId(get_array(bytes, 96)),
    };
    Ok((get_u64(bytes, 48), state))
}
