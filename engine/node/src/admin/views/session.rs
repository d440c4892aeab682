//! Sessions: all by id, and one with what it may and what it has used of it.

use super::super::desk::{Inquiries, PAGE_SCAN};
use super::super::protocol::{Problem, ProtectionView, SessionDetail, SessionView, ThrottleView};
use super::risk::{Account, limits_view};
use super::{bounds, by_id, lower, not_found, text, timed_out};
use crate::config::SelfTradeModeConfig;
use lockstep_core::inspect;
use lockstep_core::{PERMITTED_FIRMS_MAX, StateMachine};
use lockstep_record::SessionId;

type SessionEntry = (inspect::SessionView, [u32; PERMITTED_FIRMS_MAX], usize);

fn session_entry(machine: &StateMachine, id: u32) -> Option<SessionEntry> {
    let session = machine.session(SessionId(id))?;
    let mut permitted = [0; PERMITTED_FIRMS_MAX];
    let mut count = 0;
    for (to, firm) in permitted
        .iter_mut()
        .zip(machine.session_permitted_firms(SessionId(id)))
    {
        *to = firm.0;
        count += 1;
    }
    Some((session, permitted, count))
}

fn session_view((session, permitted, count): &SessionEntry) -> SessionView {
    SessionView {
        id: session.session.0,
        user: text(&session.user),
        firm: session.firm.0,
        permitted_firms: permitted[..*count].to_vec(),
        connected: session.connected,
        epoch: session.epoch.0,
        next_outbound: session.next_outbound.0,
        open_orders: session.open_orders,
        order_entry: session.order_entry,
        entry: lower(session.entry),
        cancel_on_disconnect: session.cancel_on_disconnect,
        self_trade_group: session.self_trade_group,
        self_trade_mode: self_trade_mode(session.self_trade_mode),
    }
}

fn self_trade_mode(letter: u8) -> String {
    let mut modes = SelfTradeModeConfig::ALL.into_iter();
    let mode = modes.find(|mode| mode.letter() == letter);
    lower(mode.unwrap_or(SelfTradeModeConfig::None))
}

pub fn sessions(inquiries: &Inquiries) -> Result<Vec<SessionView>, Problem> {
    let end = bounds(inquiries)?.sessions_max.saturating_add(1);
    let sessions = by_id(inquiries, end, session_entry)?;
    Ok(sessions.iter().map(session_view).collect())
}

struct Seen {
    session: Option<SessionEntry>,
    account: Account,
    throttle: Option<inspect::ThrottleView>,
    protections: Vec<inspect::ProtectionView>,
    more: bool,
}

pub fn session(inquiries: &Inquiries, id: u32) -> Result<SessionDetail, Problem> {
    let most = PAGE_SCAN as usize;
    let seen = Seen {
        session: None,
        account: Account::default(),
        throttle: None,
        protections: Vec::with_capacity(most),
        more: false,
    };
    let seen = inquiries.ask(seen, move |machine: &StateMachine, seen| {
        let session = SessionId(id);
        seen.session = session_entry(machine, id);
        seen.account.limits = machine.session_limits(session);
        seen.account.used = machine.session_counted(session);
        seen.throttle = machine.throttle(session);
        let mut protections = machine.protections(session);
        seen.protections.extend(protections.by_ref().take(most));
        seen.more = protections.next().is_some();
    });
    let seen = seen.ok_or_else(timed_out)?;
    let session = seen
        .session
        .ok_or_else(|| not_found(format!("no session {id}")))?;
    Ok(SessionDetail {
        session: session_view(&session),
        limits: limits_view(&seen.account),
        throttle: seen.throttle.map(|throttle| ThrottleView {
            messages_max: throttle.messages_max,
            window_ns: throttle.window,
            messages: throttle.count,
            window_start: throttle.start.0,
        }),
        protections: seen.protections.iter().map(protection_view).collect(),
        more_protections: seen.more,
    })
}

fn protection_view(protection: &inspect::ProtectionView) -> ProtectionView {
    ProtectionView {
        group_id: protection.group_id,
        window_ns: protection.window,
        executions_max: protection.executions_max,
        quantity_max: protection.quantity_max,
        executions: protection.executions,
        quantity: protection.quantity,
        window_start: protection.start.0,
        tripped: protection.tripped,
    }
}
