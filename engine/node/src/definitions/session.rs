//! A session's definition as one value: what its record says, and what a change leaves as it is.
//!
//! A record of a definition replaces all of it, so whoever changes one part must repeat the others.

use super::trimmed;
use crate::config::SelfTradeModeConfig;
use crate::operator;
use lockstep_core::{PERMITTED_FIRMS_MAX, StateMachine};
use lockstep_record::command::DefineSession;
use lockstep_record::{PartTag, SessionId};

/// Firms by id, ascending; what is not used, in front, is 0.
pub type PermittedFirms = [u32; PERMITTED_FIRMS_MAX];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SessionDefinition {
    pub id: u32,
    pub firm: u32,
    pub user: [u8; 6],
    pub cancel_on_disconnect: bool,
    pub order_entry: bool,
    pub permitted_firms: PermittedFirms,
    /// 0 = a group of its own.
    pub self_trade_group: u32,
    /// `N`, `O`, `B`, `D`; 0 = none.
    pub self_trade_mode: u8,
}

/// What is said of a session; what is `None` stays as it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SessionChange {
    pub firm: Option<u32>,
    pub user: Option<[u8; 6]>,
    pub cancel_on_disconnect: Option<bool>,
    pub order_entry: Option<bool>,
    pub permitted_firms: Option<PermittedFirms>,
    pub self_trade_group: Option<u32>,
    pub self_trade_mode: Option<u8>,
}

impl SessionDefinition {
    /// What counts for a new one where nothing is said.
    pub const fn new(id: u32, firm: u32, user: [u8; 6]) -> Self {
        Self {
            id,
            firm,
            user,
            cancel_on_disconnect: false,
            order_entry: true,
            permitted_firms: [0; PERMITTED_FIRMS_MAX],
            self_trade_group: 0,
            self_trade_mode: 0,
        }
    }

    pub fn changed(self, change: &SessionChange) -> Self {
        Self {
            id: self.id,
            firm: change.firm.unwrap_or(self.firm),
            user: change.user.unwrap_or(self.user),
            cancel_on_disconnect: change
                .cancel_on_disconnect
                .unwrap_or(self.cancel_on_disconnect),
            order_entry: change.order_entry.unwrap_or(self.order_entry),
            permitted_firms: change.permitted_firms.unwrap_or(self.permitted_firms),
            self_trade_group: change.self_trade_group.unwrap_or(self.self_trade_group),
            self_trade_mode: change.self_trade_mode.unwrap_or(self.self_trade_mode),
        }
    }

    /// The record that defines it so; parts that say the default are left out.
    pub fn record(&self, operator: &str) -> Vec<u8> {
        let body = DefineSession {
            session: self.id,
            firm: self.firm,
            user: self.user,
            cancel_on_disconnect: u8::from(self.cancel_on_disconnect),
            order_entry: u8::from(self.order_entry),
            _reserved: [0; 8],
        };
        let part = |firm: u32| (PartTag::PERMITTED_FIRM, firm.to_le_bytes().to_vec());
        let mut parts: Vec<_> = self.used_firms().map(part).collect();
        if self.self_trade_group != 0 {
            let group = self.self_trade_group.to_le_bytes();
            parts.push((PartTag::SELF_TRADE_GROUP, group.to_vec()));
        }
        if self.self_trade_mode != 0 {
            parts.push((PartTag::SELF_TRADE_MODE, vec![self.self_trade_mode]));
        }
        operator::record(&body, &parts, operator)
    }

    /// Its members by the configuration's keys, as text; firms by id.
    pub(super) fn said(&self) -> Vec<(&'static str, String)> {
        let permitted: Vec<String> = self.used_firms().map(|firm| firm.to_string()).collect();
        let mut modes = SelfTradeModeConfig::ALL.into_iter();
        let mode = modes.find(|mode| mode.letter() == self.self_trade_mode);
        let mode = format!("{:?}", mode.unwrap_or(SelfTradeModeConfig::None));
        vec![
            ("user", trimmed(&self.user)),
            ("firm", self.firm.to_string()),
            ("permitted_firms", format!("[{}]", permitted.join(","))),
            (
                "cancel_on_disconnect",
                self.cancel_on_disconnect.to_string(),
            ),
            ("order_entry", self.order_entry.to_string()),
            ("self_trade_group", self.self_trade_group.to_string()),
            ("self_trade_mode", mode.to_lowercase()),
        ]
    }

    /// Further firms that it may enter orders for.
    pub fn used_firms(&self) -> impl Iterator<Item = u32> + '_ {
        self.permitted_firms
            .iter()
            .copied()
            .filter(|firm| *firm != 0)
    }

    /// As the state has it. Allocates nothing: the engine's thread may run it.
    pub fn of(machine: &StateMachine, id: u32) -> Option<Self> {
        let session = machine.session(SessionId(id))?;
        let firms = machine.session_permitted_firms(SessionId(id));
        Some(Self {
            id,
            firm: session.firm.0,
            user: session.user,
            cancel_on_disconnect: session.cancel_on_disconnect,
            order_entry: session.order_entry,
            permitted_firms: permitted_firms(firms.iter().map(|firm| firm.0))?,
            self_trade_group: session.self_trade_group,
            self_trade_mode: session.self_trade_mode,
        })
    }
}

/// Firms as a definition holds them, each once; `None` if they are too many.
pub fn permitted_firms(firms: impl IntoIterator<Item = u32>) -> Option<PermittedFirms> {
    let mut table = [0; PERMITTED_FIRMS_MAX];
    let mut count = 0;
    for firm in firms {
        if !table[..count].contains(&firm) {
            *table.get_mut(count)? = firm;
            count += 1;
        }
    }
    table.sort_unstable();
    Some(table)
}
