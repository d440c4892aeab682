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
        match self.pick % 24 {
            0 | 1 => self.entry_state(),
            2..=5 => self.limits(),
            6 | 7 => operator(SetThrottle {
                window: [0, 5, 40, 1_000_000][usize::from(self.price % 4)],
                session,
                messages_max: [0, 2, 9, 30][usize::from(self.price % 4)],
            }),
            8..=10 => self.protection(session),
            11 => operator(ResetProtection {
                session,
                group_id: [0, 0, 5, 5][usize::from(side % 4)],
                by_group: [0, 1, 1, 0][usize::from(side % 4)],
                _reserved: 0,
            }),
            12 => operator(SetPosition {
                position: [0, 50, -50, 900, -900, i64::MIN, i64::MAX, 7][usize::from(side)],
                firm,
                instrument: u32::from(self.quantity % 4),
            }),
            13..=15 => operator(BreakTrade {
                match_number: oracle.last_match().wrapping_sub(u64::from(self.price) / 2),
                reason: b"ECSXECSZ"[usize::from(side)],
                _reserved: [0; 7],
            }),
            16 => risk_bounds(
                4 + u32::from(self.price == 0),
                8 + u32::from(self.price % 2),
                2 + u32::from(side == 0),
            ),
            17 => operator(SetGrace {
                grace: [0, 1, 2, 30, 3_000, 2_000_000, 400_000_000, u64::MAX][usize::from(side)],
            }),
            21 if self.price < 4 => operator(RetireInstrument {
                instrument: 1 + u32::from(side % 4),
                _reserved: [0; 4],
            }),
            21 | 22 => self.tick_table(),
            20 => operator(DefineSession {
                session,
                firm: 1 + u32::from(session != 1),
                user: USERS[usize::from(self.session)],
                cancel_on_disconnect: 1,
                order_entry: 1,
                _reserved: [0; 8],
            }),
            18 | 19 => operator(OperatorMassCancel {
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

    /// Of each session and firm now and then, mostly generous.
    fn limits(&self) -> Command {
        let twist = self.twist_value;
        let pick = |shift: u32, values: [u64; 4]| values[(twist >> shift) as usize % 4];
        let scope = b"SSSFFFFV"[usize::from(self.side)];
        operator(SetLimits {
            order_notional_max: pick(0, [0, 0, 4_000_000, 9_000_000]),
            open_notional_max: pick(2, [0, 0, 12_000_000, 40_000_000]),
            long_max: pick(4, [0, 90, 300, 1_200]) * u64::from(scope == b'F'),
            short_max: pick(6, [0, 90, 300, 1_200]) * u64::from(scope == b'F'),
            gross_max: pick(8, [0, 0, 900, u64::MAX]) * u64::from(scope == b'F'),
            order_quantity_max: pick(10, [0, 0, 300, 40]) as u32,
            open_orders_max: pick(12, [0, 0, 3, 9]) as u32,
            id: if scope == b'F' {
                u32::from(self.price % 4)
            } else {
                u32::from(self.session) + 1
            },
            scope,
            _reserved: [0; 3],
        })
    }

    /// AAAA's around the prices of the flow, or none; now and then one that cannot be.
    fn tick_table(&self) -> Command {
        let mut define = define_instrument(1, b"AAAA    ", 100, 1);
        for at in 0..self.twist_value % 4 {
            let from = 100_000 + self.twist_value / 4 % 3 * 800 + at * 700;
            let tick = [200, 300, 500, 250][(self.twist_value / 16) as usize % 4];
            let band = [from.to_le_bytes(), u32::to_le_bytes(tick)].concat();
            define = define.option(PartTag::TICK_BAND, band);
        }
        define
    }

    fn protection(&self, session: u32) -> Command {
        let off = self.price.is_multiple_of(5);
        operator(SetProtection {
            window: if off {
                u64::from(self.side == 0)
            } else {
                [20, 400, 10_000_000_000, 1][usize::from(self.side % 4)]
            },
            quantity_max: if off { 0 } else { u64::from(self.quantity) },
            session,
            executions_max: if off { 0 } else { u32::from(self.price % 4) },
            group_id: [0, 0, 5, 5][usize::from(self.twist % 4)],
            by_group: [0, 1, 1, 0][usize::from(self.twist % 4)],
            _reserved: [0; 5],
        })
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
