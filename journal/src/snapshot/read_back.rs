//! Reads back what has just been written: from the medium, past the page cache, without haste.

use super::{SnapshotError, SnapshotHeader, snapshot_name};
use crate::Checksum;
use crate::pace::{CHUNK_LENGTH, paced};
use crate::position::BLOCK_LENGTH;
use crate::storage::{AlignedBuffer, Storage, StorageFile};

/// Whether the snapshot of this header is on the medium as it was written.
pub fn read_back<S: Storage>(storage: &S, written: &SnapshotHeader) -> Result<(), SnapshotError> {
    let name = || snapshot_name(written.facts.tail.index);
    let file = storage.open_to_read(&name())?;
    let mut buffer = AlignedBuffer::new(CHUNK_LENGTH);
    let block = &mut buffer.get_mut()[..BLOCK_LENGTH as usize];
    let held = file.read_at(0, block)?;
    let header = SnapshotHeader::decode(&block[..held]);
    let header = header.map_err(|source| SnapshotError::Header {
        name: name(),
        source,
    })?;
    if header != *written || file.length()? != written.file_length {
        return Err(SnapshotError::NotAsWritten { name: name() });
    }
    for section in &header.sections {
        let (mut at, end) = (section.offset, section.offset + section.length);
        let mut crc = 0;
        while at < end {
            let wanted = (end - at).next_multiple_of(BLOCK_LENGTH) as usize;
            let chunk = &mut buffer.get_mut()[..wanted.min(CHUNK_LENGTH)];
            let length = paced(chunk.len(), || file.read_at(at, chunk))?;
            let (content, padding) = chunk[..length].split_at(length.min((end - at) as usize));
            if !crate::bytes::all_zero(padding) {
                let (name, offset) = (name(), end);
                return Err(SnapshotError::Padding { name, offset });
            }
            if content.is_empty() {
                break;
            }
            crc = crc32c::crc32c_append(crc, content);
            at += content.len() as u64;
        }
        if at < end || Checksum::of_crc(crc) != section.checksum {
            let (tag, offset) = (section.tag, section.offset);
            let name = name();
            return Err(SnapshotError::Section { name, tag, offset });
        }
    }
    Ok(())
}
