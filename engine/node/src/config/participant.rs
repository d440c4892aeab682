//! Definitions of firms and sessions.

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
    pub permitted_firms: Vec<String>,
    #[serde(default)]
    pub cancel_on_disconnect: bool,
    #[serde(default = "defaults::yes")]
    pub order_entry: bool,
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

mod defaults {
    pub fn yes() -> bool {
        true
    }
}
