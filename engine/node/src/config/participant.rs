//! Definitions of firms and sessions. What a session's entry does not say stays as the log has it.

use crate::definitions::{self, SessionChange, padded};
use lockstep_core::PERMITTED_FIRMS_MAX;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct FirmConfig {
    pub id: u32,
    /// Up to 4 upper-case letters or digits.
    pub code: String,
}

#[derive(Clone, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct SessionConfig {
    pub id: u32,
    /// Up to 6 letters or digits; case does not matter.
    pub user: String,
    /// Code of the session's firm.
    pub firm: String,
    /// PHC string of the password (`lockstep admin hash-password`).
    pub password_argon2id: String,
    /// Codes of further firms it may enter orders for.
    #[serde(default)]
    pub permitted_firms: Option<Vec<String>>,
    #[serde(default)]
    pub cancel_on_disconnect: Option<bool>,
    #[serde(default)]
    pub order_entry: Option<bool>,
    /// Sessions of one group do not trade with each other; 0 = the session is a group of its own.
    #[serde(default)]
    pub self_trade_group: Option<u32>,
    /// What becomes of an order that would trade with its own group, if it does not say.
    #[serde(default)]
    pub self_trade_mode: Option<SelfTradeModeConfig>,
}

/// As the order option of the same name.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum SelfTradeModeConfig {
    /// Its orders may trade with each other.
    None,
    /// The newest is cancelled.
    Newest,
    /// The oldest is cancelled.
    Oldest,
    /// Both are cancelled.
    Both,
    /// Both lose what would have traded.
    Decrement,
}

impl SelfTradeModeConfig {
    pub const ALL: [Self; 5] = [
        Self::None,
        Self::Newest,
        Self::Oldest,
        Self::Both,
        Self::Decrement,
    ];

    /// As the log has it; 0 = none.
    pub fn letter(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Newest => b'N',
            Self::Oldest => b'O',
            Self::Both => b'B',
            Self::Decrement => b'D',
        }
    }
}

impl SessionConfig {
    /// What the entry says, once it was checked: its firms are among these.
    pub fn change(&self, firms: &[FirmConfig]) -> SessionChange {
        let id_of = |code: &String| firms.iter().find(|f| f.code == *code).map(|f| f.id);
        let permitted = self.permitted_firms.as_ref();
        let permitted =
            permitted.map(|codes| definitions::permitted_firms(codes.iter().filter_map(id_of)));
        SessionChange {
            firm: id_of(&self.firm),
            user: Some(padded(&self.user.to_ascii_uppercase())),
            cancel_on_disconnect: self.cancel_on_disconnect,
            order_entry: self.order_entry,
            permitted_firms: permitted.flatten(),
            self_trade_group: self.self_trade_group,
            self_trade_mode: self.self_trade_mode.map(SelfTradeModeConfig::letter),
        }
    }

    pub(super) fn check(&self, firms: &[FirmConfig]) -> Result<(), String> {
        let id = self.id;
        let permitted = self.permitted_firms.as_deref().unwrap_or_default();
        for code in permitted.iter().chain([&self.firm]) {
            if !firms.iter().any(|f| f.code == *code) {
                return Err(format!("session {id}: firm {code:?} is not defined"));
            }
        }
        if permitted.len() > PERMITTED_FIRMS_MAX {
            return Err(format!(
                "session {id}: permitted_firms are at most {PERMITTED_FIRMS_MAX}"
            ));
        }
        crate::auth::parse_hash(&self.password_argon2id).map_err(|e| {
            format!(
                "session {id}: password_argon2id {e}; make one with `lockstep admin hash-password`"
            )
        })?;
        Ok(())
    }
}

impl std::fmt::Debug for SessionConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionConfig")
            .field("id", &self.id)
            .field("user", &self.user)
            .field("firm", &self.firm)
            .finish_non_exhaustive()
    }
}
