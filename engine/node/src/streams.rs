//! The journal's stream files as the stream agent and the gateway use them.

use crate::fatal::Fatal;
use crate::gateway::StreamSource;
use crate::journal::storage_code;
use crate::stream::StreamStore;
use lockstep_journal::storage::StorageError;
use lockstep_journal::stream::{StreamReader, StreamWriter};
use lockstep_record::SessionId;

fn fatal(error: &StorageError) -> Fatal {
    Fatal::new(storage_code(error), format!("stream files: {error}"))
}

impl StreamStore for StreamWriter {
    fn begin_day(&mut self, session_name: &[u8; 10]) -> Result<(), Fatal> {
        Self::begin_day(self, session_name).map_err(|e| fatal(&e))
    }

    fn append(&mut self, session: SessionId, number: u64, packet: &[u8]) -> Result<(), Fatal> {
        Self::append(self, session.0, number, packet).map_err(|e| fatal(&e))
    }

    fn flush(&mut self) -> Result<(), Fatal> {
        Self::flush(self).map_err(|e| fatal(&e))
    }

    fn holds_unwritten(&self) -> bool {
        Self::holds_unwritten(self)
    }
}

impl StreamSource for StreamReader {
    fn begin_day(&mut self, session_name: &[u8; 10]) {
        Self::begin_day(self, session_name);
    }

    fn read(
        &mut self,
        session: SessionId,
        from: u64,
        out: &mut [u8],
    ) -> Result<(usize, u64), Fatal> {
        Self::read(self, session.0, from, out).map_err(|e| fatal(&e))
    }
}
