//! The tables: names, columns and what a cell may hold. CSV and Parquet print the same rows.

use super::super::output::Failure;
use super::Written;
use clap::ValueEnum;

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Table {
    /// A row for each event of an order: accepted, rejected, replaced, executed, canceled …
    Orders,
    /// A row for each side of a match
    Executions,
    /// A row for each match
    Trades,
}

/// What a column holds; all of them are integers or text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ColumnType {
    Unsigned,
    /// In 1/10,000.
    Price,
    /// ns since the Unix epoch, UTC.
    Time,
    Text,
}

#[derive(Clone, Copy, Debug)]
pub struct Column {
    pub name: &'static str,
    pub holds: ColumnType,
    /// A row may have nothing there.
    pub optional: bool,
}

/// One value of a row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Cell {
    Empty,
    Number(u64),
    Text(String),
}

impl From<u64> for Cell {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<u32> for Cell {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

impl From<u8> for Cell {
    fn from(number: u8) -> Self {
        Self::Number(number.into())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl<T: Into<Self>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Empty, Into::into)
    }
}

const fn column(name: &'static str, holds: ColumnType) -> Column {
    Column {
        name,
        holds,
        optional: false,
    }
}

const fn optional(name: &'static str, holds: ColumnType) -> Column {
    Column {
        name,
        holds,
        optional: true,
    }
}

use ColumnType::{Price, Text, Time, Unsigned};

const ORDERS: &[Column] = &[
    column("sequence", Unsigned),
    column("index", Unsigned),
    column("time", Time),
    column("session", Unsigned),
    column("number", Unsigned),
    column("event", Text),
    column("cause", Text),
    optional("cause_session", Unsigned),
    optional("order_reference", Unsigned),
    optional("first_sequence", Unsigned),
    column("user_ref_num", Unsigned),
    column("user_ref_idx", Unsigned),
    optional("original_user_ref_num", Unsigned),
    optional("symbol", Text),
    optional("side", Text),
    optional("price", Price),
    optional("quantity", Unsigned),
    optional("open", Unsigned),
    optional("time_in_force", Text),
    optional("display", Text),
    optional("capacity", Text),
    optional("reason", Text),
    optional("match_number", Unsigned),
    optional("client_order_id", Text),
];

const EXECUTIONS: &[Column] = &[
    column("sequence", Unsigned),
    column("index", Unsigned),
    column("time", Time),
    column("session", Unsigned),
    column("number", Unsigned),
    column("match_number", Unsigned),
    column("order_reference", Unsigned),
    column("user_ref_num", Unsigned),
    column("user_ref_idx", Unsigned),
    column("symbol", Text),
    column("side", Text),
    column("price", Price),
    column("quantity", Unsigned),
    column("liquidity", Text),
    column("open", Unsigned),
    column("client_order_id", Text),
];

const TRADES: &[Column] = &[
    column("sequence", Unsigned),
    column("index", Unsigned),
    column("time", Time),
    column("match_number", Unsigned),
    column("symbol", Text),
    column("price", Price),
    column("quantity", Unsigned),
    optional("aggressor", Text),
    column("buy_session", Unsigned),
    column("buy_order_reference", Unsigned),
    column("sell_session", Unsigned),
    column("sell_order_reference", Unsigned),
];

impl Table {
    pub const ALL: [Self; 3] = [Self::Orders, Self::Executions, Self::Trades];

    pub fn name(self) -> &'static str {
        match self {
            Self::Orders => "orders",
            Self::Executions => "executions",
            Self::Trades => "trades",
        }
    }

    pub fn columns(self) -> &'static [Column] {
        match self {
            Self::Orders => ORDERS,
            Self::Executions => EXECUTIONS,
            Self::Trades => TRADES,
        }
    }
}

/// A file that takes rows. Cells are in the order of the table's columns.
pub trait TableWriter {
    fn row(&mut self, cells: &[Cell]) -> Result<(), Failure>;
    fn finish(self: Box<Self>) -> Result<Written, Failure>;
}

/// The files of an export, by table.
pub type Writers = Vec<(Table, Box<dyn TableWriter>)>;
