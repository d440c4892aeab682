//! `lockstep journal export`: what happened, for other programs: tables as CSV or Parquet, a day as ITCH 5.0.
//!
//! Everything comes from the events of a replay, so it is what clients were told. Files are written beside
//! their names and renamed when they are whole; a file that is there is never overwritten.

mod csv;
mod feed;
mod itch;
mod parquet;
mod rows;
mod table;

use super::folder;
use super::output::{Failure, row};
use super::replay::{Extent, Replayed, replay};
use clap::{Args, ValueEnum};
use lockstep_node::fatal::ExitCode;
use serde_json::{Value, json};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Seek, Write};
use std::path::{Path, PathBuf};
use table::{Table, TableWriter, Writers};

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Format {
    /// A file a table, comma-separated, with a heading
    Csv,
    /// A file a table, Snappy-compressed
    Parquet,
    /// Nasdaq TotalView-ITCH 5.0 of one trading day, as a BinaryFILE
    Itch,
}

#[derive(Args)]
pub struct ExportArguments {
    /// The data directory, or the journal folder in it
    directory: PathBuf,
    #[arg(long, value_enum)]
    format: Format,
    /// Folder for the files; made if it is not there
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// Only this table (CSV, Parquet); repeatable; default: all
    #[arg(long, value_enum)]
    table: Vec<Table>,
    /// The trading day as YYYYMMDD (ITCH); default: the last one
    #[arg(long, value_name = "DATE")]
    day: Option<u32>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    extent: Extent,
    /// Where the log buffer lies, if not at its default place
    #[arg(long, value_name = "FILE")]
    log_buffer: Option<PathBuf>,
}

/// A file in the making: under its name only when it is whole.
#[derive(Debug)]
struct NewFile {
    path: PathBuf,
    partial: PathBuf,
    out: BufWriter<File>,
}

fn io_failure(path: &Path, error: &io::Error) -> Failure {
    Failure::new(ExitCode::Io, format!("{}: {error}", path.display()))
}

fn is_there(path: &Path) -> Failure {
    let what = format!("{} is there already: it is not overwritten", path.display());
    Failure::new(ExitCode::Usage, what)
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl NewFile {
    fn create(folder: &Path, name: &str) -> Result<Self, Failure> {
        let path = folder.join(name);
        let partial = folder.join(format!("{name}.partial"));
        if path.exists() {
            let what = format!("{} is there already: it is not overwritten", path.display());
            return Err(Failure::new(ExitCode::Usage, what));
        }
        // What an earlier run left behind under this name was never whole.
        let options = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .clone();
        let file = options
            .open(&partial)
            .map_err(|e| io_failure(&partial, &e))?;
        let out = BufWriter::with_capacity(1 << 20, file);
        Ok(Self { path, partial, out })
    }

    /// Begins anew, with nothing written.
    fn restart(&mut self) -> io::Result<()> {
        self.out.flush()?;
        let file = self.out.get_mut();
        file.set_len(0)?;
        file.rewind()
    }

    /// Gives it another name, known only now.
    fn rename(&mut self, name: &str) -> Result<(), Failure> {
        let path = self.path.with_file_name(name);
        if path.exists() {
            return Err(is_there(&path));
        }
        self.path = path;
        Ok(())
    }

    fn remove(self) {
        // It has not its name yet: left behind, it misleads nobody.
        let _ = fs::remove_file(&self.partial);
    }

    fn failed(&self, error: &io::Error) -> Failure {
        io_failure(&self.partial, error)
    }

    /// Renames it; returns its length.
    fn finish(mut self) -> Result<(PathBuf, u64), Failure> {
        self.out.flush().map_err(|e| self.failed(&e))?;
        let file = self.out.get_ref();
        file.sync_all().map_err(|e| self.failed(&e))?;
        let length = file.metadata().map_err(|e| self.failed(&e))?.len();
        fs::rename(&self.partial, &self.path).map_err(|e| self.failed(&e))?;
        Ok((self.path, length))
    }
}

/// A file that was written.
struct Written {
    what: &'static str,
    path: PathBuf,
    bytes: u64,
    /// Rows, or messages.
    count: u64,
}

pub fn run(arguments: &ExportArguments, out: &mut impl Write) -> Result<(), Failure> {
    let opened = folder::open(&arguments.directory, arguments.log_buffer.as_deref())?;
    let is_itch = arguments.format == Format::Itch;
    if is_itch && !arguments.table.is_empty() {
        return Err(Failure::new(
            ExitCode::Usage,
            "--table is for CSV and Parquet",
        ));
    }
    if arguments.day.is_some() && !is_itch {
        return Err(Failure::new(ExitCode::Usage, "--day is for ITCH"));
    }
    fs::create_dir_all(&arguments.out).map_err(|e| io_failure(&arguments.out, &e))?;
    let (replayed, written, more) = if is_itch {
        let file = NewFile::create(&arguments.out, "day.itch")?;
        let feed = feed::Feed::new(arguments.day, file);
        let (replayed, feed) = replay(&opened, &arguments.extent, feed)?;
        let more = feed.report();
        let written = feed.finish()?;
        (replayed, vec![written], more)
    } else {
        let sink = rows::Rows::new(writers(arguments)?);
        let (replayed, sink) = replay(&opened, &arguments.extent, sink)?;
        let more = sink.report();
        (replayed, sink.finish()?, more)
    };
    print(arguments, &replayed, &written, &more, out)?;
    replayed.result(&arguments.extent).map_err(Failure::from)
}

fn writers(arguments: &ExportArguments) -> Result<Writers, Failure> {
    let wanted = |table: &Table| arguments.table.is_empty() || arguments.table.contains(table);
    let mut writers = Writers::new();
    for table in Table::ALL.into_iter().filter(wanted) {
        let file = |extension| {
            let name = format!("{}.{extension}", table.name());
            NewFile::create(&arguments.out, &name)
        };
        let writer: Box<dyn TableWriter> = match arguments.format {
            Format::Csv => Box::new(csv::CsvWriter::new(file("csv")?, table)?),
            _ => Box::new(parquet::ParquetWriter::new(file("parquet")?, table)?),
        };
        writers.push((table, writer));
    }
    Ok(writers)
}

fn print(
    arguments: &ExportArguments,
    replayed: &Replayed,
    written: &[Written],
    more: &Value,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let last_sequence = replayed.machine.last_sequence().0;
    if arguments.json {
        let files: Vec<Value> = written
            .iter()
            .map(|file| {
                json!({
                    "what": file.what,
                    "path": file.path.display().to_string(),
                    "bytes": file.bytes,
                    "count": file.count,
                })
            })
            .collect();
        let mut object = json!({
            "files": files,
            "last_sequence": last_sequence,
            "elapsed_ns": replayed.elapsed.as_nanos() as u64,
        });
        if let (Some(object), Value::Object(more)) = (object.as_object_mut(), more) {
            object.extend(more.clone());
        }
        writeln!(out, "{object}")?;
    } else {
        for file in written {
            let text = format!(
                "{} ({} in {} bytes)",
                file.path.display(),
                file.count,
                file.bytes
            );
            row(out, file.what, text)?;
        }
        if let Value::Object(more) = more {
            for (name, value) in more {
                row(out, name, super::fields::word(value))?;
            }
        }
        row(out, "up to sequence", last_sequence)?;
    }
    out.flush()?;
    Ok(())
}
