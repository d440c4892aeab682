//! The state as whoever compares or changes definitions asks it: one bounded question an entry.

use super::desk::Inquiries;
use super::views;
use crate::definitions::{InstrumentDefinition, Known, SessionDefinition};
use lockstep_core::{Limits, StateMachine};
use lockstep_record::command::{DefineFirm, SetBounds, SetRiskBounds, SetSchedule};
use std::cell::Cell;

#[derive(Debug)]
pub(super) struct AskedState<'a> {
    inquiries: &'a Inquiries,
    failed: Cell<bool>,
}

impl<'a> AskedState<'a> {
    pub fn new(inquiries: &'a Inquiries) -> Self {
        Self {
            inquiries,
            failed: Cell::new(false),
        }
    }

    /// A question was not answered: what was concluded is worth nothing.
    pub fn has_failed(&self) -> bool {
        self.failed.get()
    }

    fn ask<R: Send + 'static>(
        &self,
        look: impl Fn(&StateMachine) -> Option<R> + Send + 'static,
    ) -> Option<R> {
        if self.failed.get() {
            return None;
        }
        let answer = self.inquiries.ask(None, move |machine, answer| {
            *answer = Some(look(machine));
        });
        self.failed.set(answer.is_none());
        answer.flatten().flatten()
    }
}

impl Known for AskedState<'_> {
    fn bounds(&self) -> SetBounds {
        let bounds = self.ask(|machine| Some(Known::bounds(machine)));
        bounds.unwrap_or(SetBounds {
            open_orders_max: 0,
            instruments_max: 0,
            sessions_max: 0,
            firms_max: 0,
            price_levels_max: 0,
            _reserved: [0; 12],
        })
    }

    fn risk_bounds(&self) -> SetRiskBounds {
        let bounds = self.ask(|machine| Some(Known::risk_bounds(machine)));
        bounds.unwrap_or(SetRiskBounds {
            positions_max: 0,
            trades_max: 0,
            protections_max: 0,
            _reserved: [0; 4],
        })
    }

    fn firm(&self, id: u32) -> Option<DefineFirm> {
        self.ask(move |machine| Known::firm(machine, id))
    }

    fn session(&self, id: u32) -> Option<SessionDefinition> {
        self.ask(move |machine| Known::session(machine, id))
    }

    fn instrument(&self, id: u32) -> Option<InstrumentDefinition> {
        self.ask(move |machine| Known::instrument(machine, id))
    }

    fn is_retired(&self, id: u32) -> bool {
        let retired = self.ask(move |machine| Some(machine.is_retired(id)));
        retired.unwrap_or(false)
    }

    fn schedule(&self, id: u32) -> Option<SetSchedule> {
        self.ask(move |machine| Known::schedule(machine, id))
    }

    fn find_instrument(&self, symbol: [u8; 8]) -> Option<u32> {
        self.ask(move |machine| Known::find_instrument(machine, symbol))
    }

    fn instrument_ids(&self) -> Vec<u32> {
        let all = views::instruments(self.inquiries);
        self.failed.set(self.failed.get() || all.is_err());
        let live = all.into_iter().flatten().filter(|i| !i.retired);
        live.map(|instrument| instrument.id).collect()
    }

    fn session_limits(&self, id: u32) -> Option<Limits> {
        self.ask(move |machine| Known::session_limits(machine, id))
    }

    fn firm_limits(&self, id: u32) -> Option<Limits> {
        self.ask(move |machine| Known::firm_limits(machine, id))
    }
}
