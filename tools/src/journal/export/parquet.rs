//! Rows as Parquet: integers, decimals of four places, timestamps in ns UTC, UTF-8 text; Snappy.
//!
//! Column by column, a row group at a time, so that memory stays bounded however long the log is.

use super::super::output::Failure;
use super::table::{Cell, Column, ColumnType, Table, TableWriter};
use super::{NewFile, Written};
use lockstep_node::fatal::ExitCode;
use parquet::basic::Compression;
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use std::fs::File;
use std::io::BufWriter;
use std::path::PathBuf;
use std::sync::Arc;

/// Rows of one group.
const GROUP_ROWS: usize = 1 << 16;

pub struct ParquetWriter {
    writer: SerializedFileWriter<BufWriter<File>>,
    path: PathBuf,
    partial: PathBuf,
    table: Table,
    /// By column.
    cells: Vec<Vec<Cell>>,
    count: u64,
}

/// The schema in Parquet's own words.
fn schema(table: Table) -> String {
    let mut text = format!("message {} {{ ", table.name());
    for column in table.columns() {
        let repetition = if column.optional {
            "optional"
        } else {
            "required"
        };
        let (physical, logical) = match column.holds {
            ColumnType::Unsigned => ("int64", "INTEGER(64,false)"),
            ColumnType::Price => ("int64", "DECIMAL(18,4)"),
            ColumnType::Time => ("int64", "TIMESTAMP(NANOS,true)"),
            ColumnType::Text => ("binary", "UTF8"),
        };
        text += &format!("{repetition} {physical} {} ({logical}); ", column.name);
    }
    text + "}"
}

impl ParquetWriter {
    pub fn new(file: NewFile, table: Table) -> Result<Self, Failure> {
        let NewFile { path, partial, out } = file;
        let failed = |error: &ParquetError| failure(&partial, error);
        let schema = parse_message_type(&schema(table)).map_err(|e| failed(&e))?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_created_by(concat!("lockstep ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        let writer = SerializedFileWriter::new(out, Arc::new(schema), Arc::new(properties));
        let writer = writer.map_err(|e| failed(&e))?;
        Ok(Self {
            writer,
            path,
            partial,
            table,
            cells: table.columns().iter().map(|_| Vec::new()).collect(),
            count: 0,
        })
    }

    fn group(&mut self) -> Result<(), ParquetError> {
        if self.cells[0].is_empty() {
            return Ok(());
        }
        let mut group = self.writer.next_row_group()?;
        for (cells, column) in self.cells.iter_mut().zip(self.table.columns()) {
            if let Some(mut writer) = group.next_column()? {
                write_column(writer.untyped(), cells, column)?;
                writer.close()?;
            }
            cells.clear();
        }
        group.close().map(drop)
    }
}

fn write_column(
    writer: &mut ColumnWriter<'_>,
    cells: &[Cell],
    column: &Column,
) -> Result<(), ParquetError> {
    let present: Vec<i16> = cells
        .iter()
        .map(|cell| i16::from(*cell != Cell::Empty))
        .collect();
    let levels = column.optional.then_some(&present[..]);
    match writer {
        ColumnWriter::Int64ColumnWriter(writer) => {
            let numbers = cells.iter().filter_map(|cell| match cell {
                // An unsigned value is stored as the signed one of the same bits.
                Cell::Number(number) => Some(*number as i64),
                _ => None,
            });
            writer.write_batch(&numbers.collect::<Vec<_>>(), levels, None)?;
        }
        ColumnWriter::ByteArrayColumnWriter(writer) => {
            let texts = cells.iter().filter_map(|cell| match cell {
                Cell::Text(text) => Some(ByteArray::from(text.as_str())),
                _ => None,
            });
            writer.write_batch(&texts.collect::<Vec<_>>(), levels, None)?;
        }
        _ => {
            let what = format!("column {} is of no type that is written", column.name);
            return Err(ParquetError::General(what));
        }
    }
    Ok(())
}

fn failure(path: &std::path::Path, error: &ParquetError) -> Failure {
    Failure::new(ExitCode::Io, format!("{}: {error}", path.display()))
}

impl TableWriter for ParquetWriter {
    fn row(&mut self, cells: &[Cell]) -> Result<(), Failure> {
        debug_assert_eq!(cells.len(), self.cells.len());
        for (column, cell) in self.cells.iter_mut().zip(cells) {
            column.push(cell.clone());
        }
        self.count += 1;
        if self.cells[0].len() < GROUP_ROWS {
            return Ok(());
        }
        self.group().map_err(|e| failure(&self.partial, &e))
    }

    fn finish(mut self: Box<Self>) -> Result<Written, Failure> {
        self.group().map_err(|e| failure(&self.partial, &e))?;
        let Self {
            writer,
            path,
            partial,
            table,
            count,
            ..
        } = *self;
        let out = writer.into_inner().map_err(|e| failure(&partial, &e))?;
        let (path, bytes) = NewFile { path, partial, out }.finish()?;
        Ok(Written {
            what: table.name(),
            path,
            bytes,
            count,
        })
    }
}
