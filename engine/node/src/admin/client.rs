//! The client's side of the admin socket: one request, one answer, blocking.

use super::frame::{ANSWER_LENGTH_MAX, FrameReader, write_frame};
use super::protocol::{Answer, Command, Outcome, Problem, Request, VERSION};
use serde::de::DeserializeOwned;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;
use thiserror::Error;

/// How long an answer may take: longer than the node waits for anything, a large reload aside.
const ANSWER_PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Error)]
pub enum ClientError {
    #[error("{}: there is no socket; is the node running, and is this its socket?", .0.display())]
    NoSocket(PathBuf),
    #[error("{}: nobody listens; the node is not running", .0.display())]
    NotRunning(PathBuf),
    #[error("{}: permission denied; `[admin]` of the configuration lists who may connect", .0.display())]
    Forbidden(PathBuf),
    #[error("{}: {error}", path.display())]
    Io { path: PathBuf, error: io::Error },
    #[error("the node's answer cannot be read: {0}")]
    Answer(String),
    /// The node said no.
    #[error("{}", .0.message)]
    Problem(Problem),
}

/// A connection to a node.
#[derive(Debug)]
pub struct AdminClient {
    stream: UnixStream,
    path: PathBuf,
    reader: FrameReader,
    last_id: u64,
}

impl AdminClient {
    pub fn connect(path: &Path) -> Result<Self, ClientError> {
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => ClientError::NoSocket(path.to_owned()),
            io::ErrorKind::ConnectionRefused => ClientError::NotRunning(path.to_owned()),
            io::ErrorKind::PermissionDenied => ClientError::Forbidden(path.to_owned()),
            _ => ClientError::Io {
                path: path.to_owned(),
                error,
            },
        };
        let stream = UnixStream::connect(path).map_err(failed)?;
        stream
            .set_read_timeout(Some(ANSWER_PATIENCE))
            .and_then(|()| stream.set_write_timeout(Some(ANSWER_PATIENCE)))
            .map_err(failed)?;
        Ok(Self {
            stream,
            path: path.to_owned(),
            reader: FrameReader::new(ANSWER_LENGTH_MAX),
            last_id: 0,
        })
    }

    fn io(&self, error: io::Error) -> ClientError {
        ClientError::Io {
            path: self.path.clone(),
            error,
        }
    }

    /// The answer to a command, as JSON.
    pub fn ask_json(
        &mut self,
        command: Command,
        note: Option<&str>,
    ) -> Result<serde_json::Value, ClientError> {
        self.last_id += 1;
        let request = Request {
            version: VERSION,
            id: self.last_id,
            note: note.map(str::to_owned),
            command,
        };
        let content = request.content();
        let mut frame = Vec::with_capacity(content.len() + 4);
        write_frame(&mut frame, &content);
        self.stream.write_all(&frame).map_err(|e| self.io(e))?;
        let answer: Answer = serde_json::from_slice(&self.read_frame()?)
            .map_err(|e| ClientError::Answer(e.to_string()))?;
        match answer.outcome {
            Outcome::Ok(value) => Ok(value),
            Outcome::Error(problem) => Err(ClientError::Problem(problem)),
        }
    }

    /// The same, typed.
    pub fn ask<T: DeserializeOwned>(
        &mut self,
        command: Command,
        note: Option<&str>,
    ) -> Result<T, ClientError> {
        let value = self.ask_json(command, note)?;
        serde_json::from_value(value).map_err(|e| ClientError::Answer(e.to_string()))
    }

    fn read_frame(&mut self) -> Result<Vec<u8>, ClientError> {
        let mut bytes = [0; 16 << 10];
        loop {
            let frame = self
                .reader
                .next_frame()
                .map_err(|e| ClientError::Answer(e.to_string()))?;
            if let Some(frame) = frame {
                return Ok(frame);
            }
            match self.stream.read(&mut bytes).map_err(|e| self.io(e))? {
                0 => return Err(self.io(io::ErrorKind::UnexpectedEof.into())),
                length => self.reader.push(&bytes[..length]),
            }
        }
    }
}
