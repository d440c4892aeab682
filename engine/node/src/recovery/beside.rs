//! Stream files that are made again, on a thread beside the replay: the packets are encoded where they are said,
//! gathered, and written by another.

use crate::fatal::{ExitCode, Fatal};
use crate::stream::StreamStore;
use lockstep_record::SessionId;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

/// Bytes gathered before they are handed over, and how many such pieces may wait.
const PIECE_LENGTH: usize = 1 << 20;
const PIECES_MAX: usize = 8;
/// Before each packet: session u32, number u64, length u32.
const HEAD_LENGTH: usize = 16;

enum Work {
    Packets(Vec<u8>),
    BeginDay([u8; 10]),
}

/// The replay's end. Order is kept; a failure of the writing end shows at the next piece, or at its end.
pub(super) struct StreamsBeside {
    to_writer: SyncSender<Work>,
    emptied: Receiver<Vec<u8>>,
    piece: Vec<u8>,
}

/// The writing end.
pub(super) struct StreamsWriter {
    work: Receiver<Work>,
    emptied: Sender<Vec<u8>>,
}

pub(super) fn pair() -> (StreamsBeside, StreamsWriter) {
    let (to_writer, work) = sync_channel(PIECES_MAX);
    let (back, emptied) = channel();
    let beside = StreamsBeside {
        to_writer,
        emptied,
        piece: Vec::with_capacity(PIECE_LENGTH),
    };
    let emptied = back;
    (beside, StreamsWriter { work, emptied })
}

impl StreamsBeside {
    /// The writer's own failure says more.
    fn send(&self, work: Work) -> Result<(), Fatal> {
        let gone = |_| Fatal::new(ExitCode::Io, "stream files: their writer has ended");
        self.to_writer.send(work).map_err(gone)
    }

    #[cold]
    fn hand_over(&mut self) -> Result<(), Fatal> {
        let fresh = || Vec::with_capacity(PIECE_LENGTH);
        let next = self.emptied.try_recv().unwrap_or_else(|_| fresh());
        let piece = std::mem::replace(&mut self.piece, next);
        self.send(Work::Packets(piece))
    }
}

impl StreamStore for StreamsBeside {
    fn begin_day(&mut self, session_name: &[u8; 10]) -> Result<(), Fatal> {
        self.hand_over()?;
        self.send(Work::BeginDay(*session_name))
    }

    #[inline]
    fn append(&mut self, session: SessionId, number: u64, packet: &[u8]) -> Result<(), Fatal> {
        if self.piece.len() + HEAD_LENGTH + packet.len() > PIECE_LENGTH {
            self.hand_over()?;
        }
        let mut head = [0; HEAD_LENGTH];
        head[..4].copy_from_slice(&session.0.to_le_bytes());
        head[4..12].copy_from_slice(&number.to_le_bytes());
        head[12..].copy_from_slice(&(packet.len() as u32).to_le_bytes());
        self.piece.extend_from_slice(&head);
        self.piece.extend_from_slice(packet);
        Ok(())
    }

    fn holds(&mut self, _: SessionId, _: u64) -> Result<bool, Fatal> {
        Ok(false)
    }

    fn flush(&mut self) -> Result<(), Fatal> {
        self.hand_over()
    }

    fn holds_unwritten(&self) -> bool {
        !self.piece.is_empty()
    }
}

impl StreamsWriter {
    /// Writes until the other end is dropped.
    pub fn run<T: StreamStore>(self, store: &mut T) -> Result<(), Fatal> {
        for work in self.work {
            match work {
                Work::BeginDay(session_name) => store.begin_day(&session_name)?,
                Work::Packets(mut piece) => {
                    write(&piece, store)?;
                    piece.clear();
                    // Nobody is there to take it any more at the very end.
                    let _ = self.emptied.send(piece);
                }
            }
        }
        store.flush()
    }
}

fn write<T: StreamStore>(mut piece: &[u8], store: &mut T) -> Result<(), Fatal> {
    while let Some((head, rest)) = piece.split_first_chunk::<HEAD_LENGTH>() {
        let [a, b, c, d, n @ .., e, f, g, h] = *head;
        let session = SessionId(u32::from_le_bytes([a, b, c, d]));
        let (packet, rest) = rest.split_at(u32::from_le_bytes([e, f, g, h]) as usize);
        store.append(session, u64::from_le_bytes(n), packet)?;
        piece = rest;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything in its order; fails when it is told to.
    #[derive(Default)]
    struct Heard {
        said: Vec<(u32, u64, Vec<u8>)>,
        days: Vec<(usize, [u8; 10])>,
        flushed: usize,
        fails_at: Option<usize>,
    }

    impl StreamStore for Heard {
        fn begin_day(&mut self, session_name: &[u8; 10]) -> Result<(), Fatal> {
            self.days.push((self.said.len(), *session_name));
            Ok(())
        }

        fn append(&mut self, session: SessionId, number: u64, packet: &[u8]) -> Result<(), Fatal> {
            if self.fails_at == Some(self.said.len()) {
                return Err(Fatal::new(ExitCode::DiskFull, "full"));
            }
            self.said.push((session.0, number, packet.to_vec()));
            Ok(())
        }

        fn holds(&mut self, _: SessionId, _: u64) -> Result<bool, Fatal> {
            Ok(false)
        }

        fn flush(&mut self) -> Result<(), Fatal> {
            self.flushed = self.said.len();
            Ok(())
        }

        fn holds_unwritten(&self) -> bool {
            false
        }
    }

    const COUNT: usize = 100_000;

    fn packet(number: usize) -> Vec<u8> {
        vec![number as u8; 3 + number % 60]
    }

    fn send_all(mut beside: StreamsBeside) -> Result<(), Fatal> {
        for number in 0..COUNT {
            if number % 30_000 == 0 {
                beside.begin_day(b"20260102  ")?;
            }
            let session = SessionId(number as u32 % 7);
            beside.append(session, number as u64, &packet(number))?;
        }
        beside.flush()
    }

    #[test]
    fn everything_arrives_in_order() {
        let (beside, writer) = pair();
        let mut heard = Heard::default();
        std::thread::scope(|scope| {
            let sending = scope.spawn(|| send_all(beside));
            writer.run(&mut heard).unwrap();
            sending.join().unwrap().unwrap();
        });
        let wanted = (0..COUNT).map(|n| (n as u32 % 7, n as u64, packet(n)));
        assert!(heard.said.iter().cloned().eq(wanted));
        let days: Vec<_> = heard.days.iter().map(|day| day.0).collect();
        assert_eq!(days, [0, 30_000, 60_000, 90_000]);
        assert_eq!(heard.flushed, COUNT);
    }

    #[test]
    fn a_failure_ends_both_ends() {
        let (beside, writer) = pair();
        let mut heard = Heard {
            fails_at: Some(20_000),
            ..Heard::default()
        };
        std::thread::scope(|scope| {
            let sending = scope.spawn(|| send_all(beside));
            let fatal = writer.run(&mut heard).unwrap_err();
            assert_eq!(fatal.code, ExitCode::DiskFull);
            assert!(sending.join().unwrap().is_err());
        });
    }
}
