//! The fields of an event by name, for people and for JSON.

use super::fields::{Fields, part_name, part_value, text, trimmed};
use lockstep_record::event::{Event, OrderTerms, UserRef};
use serde_json::Value;

/// The event's name: that of its OUCH message.
pub fn event_name(event: &Event<'_>) -> &'static str {
    match event {
        Event::System(_) => "system",
        Event::Accepted(_) => "accepted",
        Event::Replaced(_) => "replaced",
        Event::Canceled(_) => "canceled",
        Event::SelfMatchCanceled(_) => "self_match_canceled",
        Event::Executed(_) => "executed",
        Event::Broken(_) => "broken",
        Event::Rejected(_) => "rejected",
        Event::CancelPending(_) => "cancel_pending",
        Event::CancelReject(_) => "cancel_reject",
        Event::PriorityUpdate(_) => "priority_update",
        Event::Modified(_) => "modified",
        Event::Restated(_) => "restated",
        Event::MassCancelResponse(_) => "mass_cancel_response",
        Event::DisableResponse(_) => "disable_response",
        Event::EnableResponse(_) => "enable_response",
        Event::AccountQueryResponse(_) => "account_query_response",
    }
}

/// The order or request that an event names.
pub fn event_user_ref(event: &Event<'_>) -> Option<UserRef> {
    Some(match event {
        Event::System(_) => return None,
        Event::Accepted(e) => e.terms.user_ref,
        Event::Replaced(e) => e.terms.user_ref,
        Event::Canceled(e) => e.user_ref,
        Event::SelfMatchCanceled(e) => e.user_ref,
        Event::Executed(e) => e.user_ref,
        Event::Broken(e) => e.user_ref,
        Event::Rejected(e) => e.user_ref,
        Event::CancelPending(user_ref) | Event::CancelReject(user_ref) => *user_ref,
        Event::PriorityUpdate(e) => e.user_ref,
        Event::Modified(e) => e.user_ref,
        Event::Restated(e) => e.user_ref,
        Event::MassCancelResponse(e) => e.user_ref,
        Event::DisableResponse(e) | Event::EnableResponse(e) => e.user_ref,
        Event::AccountQueryResponse(e) => e.next,
    })
}

fn letter(byte: u8) -> Value {
    text(&[byte]).into()
}

fn terms(fields: &mut Fields, terms: &OrderTerms<'_>) {
    fields.extend([
        ("order_reference", terms.order_reference.0.into()),
        ("side", letter(terms.side)),
        ("quantity", terms.quantity.into()),
        ("symbol", trimmed(&terms.symbol).into()),
        ("price", terms.price.0.into()),
        ("time_in_force", letter(terms.time_in_force)),
        ("display", letter(terms.display)),
        ("capacity", letter(terms.capacity)),
        ("state", letter(terms.state as u8)),
        ("client_order_id", trimmed(&terms.client_order_id).into()),
    ]);
    let options = terms.options.map(|part| {
        let (name, value) = (part_name(part.tag), part_value(&part));
        (name, value)
    });
    let options: serde_json::Map<String, Value> = options.collect();
    if !options.is_empty() {
        fields.push(("options", options.into()));
    }
}

/// Named values, the user reference first.
pub fn event_fields(event: &Event<'_>) -> Fields {
    let mut fields = Fields::new();
    if let Some(user_ref) = event_user_ref(event) {
        fields.push(("user_ref_num", user_ref.number.into()));
        if user_ref.index != 0 {
            fields.push(("user_ref_idx", user_ref.index.into()));
        }
    }
    match event {
        Event::System(code) => fields.push(("code", letter(*code as u8))),
        Event::Accepted(e) => terms(&mut fields, &e.terms),
        Event::Replaced(e) => {
            fields.push(("original_user_ref_num", e.original.into()));
            terms(&mut fields, &e.terms);
        }
        Event::Canceled(e) => fields.extend([
            ("quantity", e.quantity.into()),
            ("reason", letter(e.reason as u8)),
        ]),
        Event::SelfMatchCanceled(e) => fields.extend([
            ("decrement", e.decrement.into()),
            ("quantity_prevented", e.quantity_prevented.into()),
            ("price", e.price.0.into()),
            ("liquidity", letter(e.liquidity)),
            ("strategy", letter(e.strategy)),
        ]),
        Event::Executed(e) => fields.extend([
            ("quantity", e.quantity.into()),
            ("price", e.price.0.into()),
            ("liquidity", letter(e.liquidity)),
            ("match_number", e.match_number.0.into()),
        ]),
        Event::Broken(e) => fields.extend([
            ("match_number", e.match_number.0.into()),
            ("reason", letter(e.reason)),
        ]),
        Event::Rejected(e) => fields.extend([
            ("reason", format!("0x{:02X}", e.reason as u16).into()),
            ("why", format!("{:?}", e.reason).into()),
            ("client_order_id", trimmed(&e.client_order_id).into()),
        ]),
        Event::CancelPending(_) | Event::CancelReject(_) | Event::AccountQueryResponse(_) => {}
        Event::PriorityUpdate(e) => fields.extend([
            ("price", e.price.0.into()),
            ("display", letter(e.display)),
            ("order_reference", e.order_reference.0.into()),
        ]),
        Event::Modified(e) => {
            fields.extend([("side", letter(e.side)), ("quantity", e.quantity.into())]);
        }
        Event::Restated(e) => fields.extend([
            ("reason", letter(e.reason)),
            ("display_quantity", e.display_quantity.into()),
            ("display_price", e.display_price.map(|price| price.0).into()),
            (
                "secondary_reference",
                e.secondary_reference.map(|reference| reference.0).into(),
            ),
        ]),
        Event::MassCancelResponse(e) => fields.extend([
            ("firm", trimmed(&e.firm).into()),
            ("symbol", trimmed(&e.symbol).into()),
        ]),
        Event::DisableResponse(e) | Event::EnableResponse(e) => {
            fields.push(("firm", trimmed(&e.firm).into()));
        }
    }
    fields
}
