//! Rows as comma-separated values (RFC 4180, lines end in LF): times in RFC 3339, prices as decimals.

use super::super::output::Failure;
use super::super::record_line::Price;
use super::super::time::Utc;
use super::table::{Cell, ColumnType, Table, TableWriter};
use super::{NewFile, Written};
use std::io::{self, Write};

pub struct CsvWriter {
    file: NewFile,
    table: Table,
    count: u64,
}

impl CsvWriter {
    pub fn new(file: NewFile, table: Table) -> Result<Self, Failure> {
        let mut writer = Self {
            file,
            table,
            count: 0,
        };
        let names: Vec<&str> = table.columns().iter().map(|column| column.name).collect();
        let written = writeln!(writer.file.out, "{}", names.join(","));
        written.map_err(|error| writer.file.failed(&error))?;
        Ok(writer)
    }

    fn write(&mut self, cells: &[Cell]) -> io::Result<()> {
        let out = &mut self.file.out;
        for (place, (cell, column)) in cells.iter().zip(self.table.columns()).enumerate() {
            if place > 0 {
                out.write_all(b",")?;
            }
            match (cell, column.holds) {
                (Cell::Empty, _) => {}
                (Cell::Number(number), ColumnType::Price) => write!(out, "{}", Price(*number))?,
                (Cell::Number(number), ColumnType::Time) => write!(out, "{}", Utc(*number))?,
                (Cell::Number(number), _) => write!(out, "{number}")?,
                (Cell::Text(text), _) => out.write_all(quoted(text).as_bytes())?,
            }
        }
        out.write_all(b"\n")
    }
}

/// Quoted where a reader could take it for something else.
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

impl TableWriter for CsvWriter {
    fn row(&mut self, cells: &[Cell]) -> Result<(), Failure> {
        debug_assert_eq!(cells.len(), self.table.columns().len());
        self.count += 1;
        self.write(cells).map_err(|error| self.file.failed(&error))
    }

    fn finish(self: Box<Self>) -> Result<Written, Failure> {
        let (path, bytes) = self.file.finish()?;
        Ok(Written {
            what: self.table.name(),
            path,
            bytes,
            count: self.count,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn text_that_could_mislead_is_quoted() {
        assert_eq!(quoted("AAPL"), "AAPL");
        assert_eq!(quoted("a,b"), "\"a,b\"");
        assert_eq!(quoted("say \"x\""), "\"say \"\"x\"\"\"");
    }
}
