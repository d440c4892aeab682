//! Instruments that leave trading.
//!
//! Its orders go at once; its id and symbol are free when the next day opens, so that nothing of one day
//! can mean two instruments.

use crate::NONE;
use crate::machine::{Done, StateMachine};
use crate::mass::Which;
use crate::outbox::Outbox;
use crate::tick::TickTable;
use lockstep_record::command::ArchivedRetireInstrument;
use lockstep_record::event::{CancelReason, EventSink, Refusal};
use lockstep_record::{InstrumentId, Record, SessionId};

impl StateMachine {
    pub(crate) fn retire_instrument<S: EventSink>(
        &mut self,
        _: &Record<'_>,
        body: &ArchivedRetireInstrument,
        out: &mut Outbox<'_, S>,
    ) -> Done {
        let id = InstrumentId(body.instrument.to_native());
        if !self.instruments.is_defined(id) || self.instruments.get(id).retired {
            return Done::RefusedFor(Refusal::Undefined);
        }
        let which = Which {
            firm: None,
            instrument: Some(id),
            side: None,
            group_id: None,
        };
        if !self.day.open && self.is_any_live(&which) {
            // No stream could say that they are cancelled.
            return Done::RefusedFor(Refusal::NoDay);
        }
        self.instruments.get_mut(id).retired = true;
        for session in (1..self.sessions.id_end()).map(SessionId) {
            self.cancel_all(session, &which, CancelReason::Supervisory, out);
        }
        self.end_instrument(id, out);
        Done::Yes
    }

    fn is_any_live(&self, which: &Which) -> bool {
        self.sessions.defined().any(|id| {
            let mut slot = self.sessions.get(id).first_order;
            while slot != NONE {
                if self.is_meant(slot, which) {
                    return true;
                }
                slot = self.details[slot as usize].next;
            }
            false
        })
    }

    /// A new day: what was retired is gone, with what firms had in it.
    pub(crate) fn forget_retired(&mut self) {
        let mut any = false;
        for id in (1..self.instruments.id_end()).map(InstrumentId) {
            if self.instruments.get(id).retired {
                self.instruments.undefine(id);
                *self.ticks.get_mut(id) = TickTable::default();
                any = true;
            }
        }
        if !any {
            return;
        }
        self.instruments.rebuild_symbols();
        let instruments = &self.instruments;
        self.risk
            .positions
            .retain(|position| instruments.is_defined(InstrumentId(position.instrument)));
    }
}
