//! The section `day`: when a trading day begins and ends.

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq, Default)]
#[serde(rename_all = "snake_case")]
pub enum DayOpening {
    /// Open today's trading day when none is open and the date is new; close one of an earlier date.
    #[default]
    Automatic,
    /// Only by the operator.
    Operator,
}

#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Default)]
#[serde(deny_unknown_fields, default)]
pub struct DayConfig {
    pub opening: DayOpening,
    /// UTC offset of the venue's midnight, in minutes; wire time counts from it.
    pub utc_offset_minutes: i32,
    /// Time of day (minutes after the venue's midnight) at which an open day is closed.
    pub close_at_minutes: Option<u32>,
    /// Seconds after that minute; only with `close_at_minutes`.
    pub close_at_seconds: u32,
}

impl DayConfig {
    pub(super) fn check(&self) -> Result<(), String> {
        if let Some(at) = self.close_at_minutes
            && at >= 24 * 60
        {
            return Err(format!("day.close_at_minutes = {at}: must be below 1440"));
        }
        let seconds = self.close_at_seconds;
        if seconds >= 60 || (seconds > 0 && self.close_at_minutes.is_none()) {
            return Err(format!(
                "day.close_at_seconds = {seconds}: must be below 60, and only with close_at_minutes"
            ));
        }
        if !(-14 * 60..=14 * 60).contains(&self.utc_offset_minutes) {
            return Err("day.utc_offset_minutes: must be within 14 hours".into());
        }
        Ok(())
    }
}
