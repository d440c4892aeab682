//! The first look at a file: orders that execute while another stands before them. No price-time book
//! would have them execute, so the plan gives each a book of its own.

use super::book::{FileBook, FileOrder};
use super::reader::{ItchError, ItchFile, ItchKind};
use std::collections::BTreeSet;

/// What the plan must know beforehand.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Survey {
    /// First references of chains of which an order executes out of turn.
    pub out_of_turn: BTreeSet<u64>,
}

/// Reads the file to its end, or up to so many messages.
pub fn survey(file: &mut ItchFile, messages_max: u64) -> Result<Survey, ItchError> {
    let mut survey = Survey::default();
    let mut book = FileBook::default();
    while let Some(message) = file.next_message()? {
        if message.number > messages_max {
            break;
        }
        // What does not fit is the plan's to count.
        let _ = match message.kind {
            ItchKind::Add {
                order,
                side,
                shares,
                price,
                ..
            } => {
                let terms = FileOrder {
                    locate: message.locate,
                    lane: 0,
                    side,
                    price,
                    open: shares,
                    root: order,
                };
                book.add(order, terms)
            }
            ItchKind::Execute { order, shares, .. } => {
                if let Some(terms) = book.get(order)
                    && !book.is_first(order)
                {
                    survey.out_of_turn.insert(terms.root);
                }
                book.take(order, shares).map(drop)
            }
            ItchKind::Cancel { order, shares } => book.take(order, shares).map(drop),
            ItchKind::Delete { order } => book.remove(order).map(drop),
            ItchKind::Replace {
                original,
                order,
                shares,
                price,
            } => book.remove(original).and_then(|terms| {
                let terms = FileOrder {
                    price,
                    open: shares,
                    ..terms
                };
                book.add(order, terms)
            }),
            ItchKind::Stock { .. } | ItchKind::Other(_) => Ok(()),
        };
    }
    Ok(survey)
}
