//! Whether the sections fit each other, and whether what is defined can be defined.

use super::{Config, layout};

impl Config {
    pub(super) fn check(&self) -> Result<(), String> {
        layout::check(&self.threads)?;
        self.network.check_rings()?;
        self.journal.check()?;
        self.bounds.check()?;
        self.network.check()?;
        self.day.check()?;
        self.logins.check()?;
        self.check_names()?;
        self.check_firms()?;
        self.check_sessions()?;
        for instrument in &self.instruments {
            in_bound(
                "instrument",
                instrument.id,
                self.bounds.instruments_max.min(65_535),
            )?;
            instrument.check()?;
        }
        Ok(())
    }

    fn check_names(&self) -> Result<(), String> {
        unique("firm", "id", self.firms.iter().map(|f| f.id))?;
        unique("firm", "code", self.firms.iter().map(|f| f.code.as_str()))?;
        unique("session", "id", self.sessions.iter().map(|s| s.id))?;
        let users = self.sessions.iter().map(|s| s.user.to_ascii_uppercase());
        unique("session", "user", users)?;
        unique("instrument", "id", self.instruments.iter().map(|i| i.id))?;
        let symbols = self.instruments.iter().map(|i| i.symbol.as_str());
        unique("instrument", "symbol", symbols)
    }

    fn check_firms(&self) -> Result<(), String> {
        for firm in &self.firms {
            in_bound("firm", firm.id, self.bounds.firms_max)?;
            let ok = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit();
            text("firm", "code", &firm.code, 4, ok)?;
        }
        Ok(())
    }

    fn check_sessions(&self) -> Result<(), String> {
        for session in &self.sessions {
            in_bound("session", session.id, self.bounds.sessions_max)?;
            let ok = |b: u8| b.is_ascii_alphanumeric();
            text("session", "user", &session.user, 6, ok)?;
            session.check(&self.firms)?;
        }
        Ok(())
    }
}

pub(super) fn power_of_two(key: &str, value: u64, least: u64) -> Result<(), String> {
    if !value.is_power_of_two() || value < least {
        return Err(format!(
            "{key} = {value}: must be a power of two of at least {least}"
        ));
    }
    Ok(())
}

fn in_bound(entry: &str, id: u32, max: u32) -> Result<(), String> {
    if id == 0 || id > max {
        return Err(format!("{entry} id {id}: must be 1..={max}"));
    }
    Ok(())
}

pub(super) fn text(
    entry: &str,
    key: &str,
    value: &str,
    max: usize,
    ok: fn(u8) -> bool,
) -> Result<(), String> {
    if value.is_empty() || value.len() > max || !value.bytes().all(ok) {
        return Err(format!(
            "{entry} {key} {value:?}: must be 1 to {max} of the allowed characters"
        ));
    }
    Ok(())
}

fn unique<T: PartialEq + std::fmt::Debug>(
    entry: &str,
    key: &str,
    values: impl Iterator<Item = T>,
) -> Result<(), String> {
    let values: Vec<T> = values.collect();
    for (i, value) in values.iter().enumerate() {
        if values[..i].contains(value) {
            return Err(format!("{entry} {key} {value:?} is defined twice"));
        }
    }
    Ok(())
}
