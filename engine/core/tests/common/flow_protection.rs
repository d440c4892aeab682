//! Random commands of the operator that protect the venue; values are chosen so that each of them bites
//! in a small venue and ends again soon.

use super::flow::Step;
use super::oracle::Oracle;
use super::*;

impl Step {
    /// A command of the operator about limits, entry or orders.
    pub(super) fn protect(&self, oracle: &Oracle) -> Command {
        let (session, side) = (u32::from(self.session) + 1, self.side);
        let firm = u32::from(self.price % 3);
        match self.pick % 8 {
            0 | 1 => self.entry_state(),
            2 | 3 => operator(OperatorMassCancel {
                session: u32::from(self.quantity % 5),
                firm,
                instrument: u32::from(side % 3),
                group_id: [0, 0, 5, 1][usize::from(self.twist % 4)],
                by_group: [0, 0, 1, 0][usize::from(self.twist % 4)],
                side: [0, 0, 0, b'B', b'S', b'T', 0, b'X'][usize::from(side)],
            }),
            _ => {
                let live = oracle.live_numbers(session);
                let UserRef { number, index } = live
                    .get(usize::from(self.quantity) % live.len().max(1))
                    .copied()
                    .unwrap_or_default();
                operator(OperatorCancel {
                    reference: [0, 0, 0, 7][usize::from(side % 4)],
                    session,
                    user_ref_num: number,
                    user_ref_idx: index,
                    _reserved: [0; 7],
                })
            }
        }
    }

    /// Mostly enabled again, so that orders go on.
    fn entry_state(&self) -> Command {
        let scope = b"SSSFFFVX"[usize::from(self.side)];
        let id = match scope {
            b'S' => u32::from(self.session) + 1,
            b'F' => u32::from(self.price % 4),
            _ => u32::from(self.price == 0),
        };
        let state = b"EEEEEEEDKK"[usize::from(self.quantity % 10)];
        set_entry_state(scope, id, state)
    }
}
