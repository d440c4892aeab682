//! From an event of the state machine to the bytes of a client's outbound stream.
//!
//! Pure functions: replaying the log gives the same bytes, on any node, for ever. They must look at
//! nothing but their arguments.

use super::appendage::{Block, ELEMENT_HEADER, LENGTH_FIELD};
use super::option::{Encoding, OPTIONS, OptionTag};
use super::outbound;
use crate::Field;
use crate::soup::{FRAME_HEADER_LENGTH, encode_sequenced_header};
use lockstep_record::event::{self, Delivery, Event, OrderTerms, UserRef};
use lockstep_record::{Part, Parts};

/// Longest message to a client: Replaced with every option that a client can have sent.
pub const OUTBOUND_LENGTH_MAX: usize = outbound::Replaced::FIXED_LENGTH + ECHO_LENGTH_MAX;
/// The same with the header of a sequenced data packet.
pub const SEQUENCED_LENGTH_MAX: usize = FRAME_HEADER_LENGTH + OUTBOUND_LENGTH_MAX;

/// Each option of the tag table that a client may send, once.
const ECHO_LENGTH_MAX: usize = {
    let mut length = 0;
    let mut at = 0;
    while at < OPTIONS.len() {
        if !OPTIONS[at].venue_only {
            length += ELEMENT_HEADER + OPTIONS[at].width as usize;
        }
        at += 1;
    }
    length
};

const _: () = {
    let mut at = 0;
    while at < outbound::Outbound::MESSAGES.len() {
        assert!(outbound::Outbound::MESSAGES[at].1 <= outbound::Replaced::FIXED_LENGTH);
        at += 1;
    }
    // Restated carries three options of the venue and the channel.
    assert!(outbound::Restated::FIXED_LENGTH + 6 + 10 + 10 + 3 <= OUTBOUND_LENGTH_MAX);
};

/// Writes the event as a sequenced data packet, `u16 length | 'S' | message`: the bytes that are sent,
/// stored and replayed. Returns their number. Panics if `out` is shorter than
/// [`SEQUENCED_LENGTH_MAX`].
// Where the event is made its kind is known, and nothing has to be asked.
#[inline(always)]
pub fn encode_sequenced(to: &Delivery, event: &Event<'_>, out: &mut [u8]) -> usize {
    let out = &mut out[..SEQUENCED_LENGTH_MAX];
    let length = encode_event(to, event, &mut out[FRAME_HEADER_LENGTH..]);
    encode_sequenced_header(length, out)
}

/// Writes the event as one OUCH message and returns its length. Panics if `out` is shorter than
/// [`OUTBOUND_LENGTH_MAX`].
#[inline(always)]
pub fn encode_event(to: &Delivery, event: &Event<'_>, out: &mut [u8]) -> usize {
    let out = &mut out[..OUTBOUND_LENGTH_MAX];
    let timestamp = to.time_ns;
    match event {
        Event::Accepted(accepted) => encode_accepted(timestamp, &accepted.terms, out),
        Event::Executed(executed) => {
            let length = outbound::Executed {
                timestamp,
                user_ref_num: executed.user_ref.number,
                quantity: executed.quantity,
                price: executed.price,
                liquidity: executed.liquidity,
                match_number: executed.match_number,
            }
            .write_fields(out);
            finish(length, outbound::Executed::BLOCK, executed.user_ref, out)
        }
        Event::Canceled(canceled) => {
            let length = outbound::Canceled {
                timestamp,
                user_ref_num: canceled.user_ref.number,
                quantity: canceled.quantity,
                reason: canceled.reason as u8,
            }
            .write_fields(out);
            finish(length, outbound::Canceled::BLOCK, canceled.user_ref, out)
        }
        Event::Replaced(replaced) => {
            encode_replaced(timestamp, replaced.original, &replaced.terms, out)
        }
        Event::Rejected(rejected) => {
            let length = outbound::Rejected {
                timestamp,
                user_ref_num: rejected.user_ref.number,
                reason: rejected.reason as u16,
                client_order_id: rejected.client_order_id,
            }
            .write_fields(out);
            finish(length, outbound::Rejected::BLOCK, rejected.user_ref, out)
        }
        rare => encode_rare(timestamp, rare, out),
    }
}

fn encode_accepted(timestamp: u64, terms: &OrderTerms<'_>, out: &mut [u8]) -> usize {
    let length = outbound::Accepted {
        timestamp,
        user_ref_num: terms.user_ref.number,
        side: terms.side,
        quantity: terms.quantity,
        symbol: terms.symbol,
        price: terms.price,
        time_in_force: terms.time_in_force,
        display: terms.display,
        order_reference: terms.order_reference,
        capacity: terms.capacity,
        intermarket_sweep: terms.intermarket_sweep,
        cross_type: terms.cross_type,
        state: terms.state as u8,
        client_order_id: terms.client_order_id,
    }
    .write_fields(out);
    finish_terms(length, outbound::Accepted::BLOCK, terms, out)
}

fn encode_replaced(timestamp: u64, original: u32, terms: &OrderTerms<'_>, out: &mut [u8]) -> usize {
    let length = outbound::Replaced {
        timestamp,
        original_user_ref_num: original,
        user_ref_num: terms.user_ref.number,
        side: terms.side,
        quantity: terms.quantity,
        symbol: terms.symbol,
        price: terms.price,
        time_in_force: terms.time_in_force,
        display: terms.display,
        order_reference: terms.order_reference,
        capacity: terms.capacity,
        intermarket_sweep: terms.intermarket_sweep,
        cross_type: terms.cross_type,
        state: terms.state as u8,
        client_order_id: terms.client_order_id,
    }
    .write_fields(out);
    finish_terms(length, outbound::Replaced::BLOCK, terms, out)
}

/// Events that orders in bulk do not cause.
#[cold]
fn encode_rare(timestamp: u64, event: &Event<'_>, out: &mut [u8]) -> usize {
    match *event {
        Event::System(code) => {
            let code = code as u8;
            outbound::SystemEvent { timestamp, code }.write_fields(out)
        }
        Event::SelfMatchCanceled(canceled) => encode_self_match(timestamp, canceled, out),
        Event::Broken(broken) => {
            let length = outbound::BrokenTrade {
                timestamp,
                user_ref_num: broken.user_ref.number,
                match_number: broken.match_number,
                reason: broken.reason,
                client_order_id: broken.client_order_id,
            }
            .write_fields(out);
            finish(length, outbound::BrokenTrade::BLOCK, broken.user_ref, out)
        }
        Event::CancelPending(user_ref) => {
            let user_ref_num = user_ref.number;
            let message = outbound::CancelPending {
                timestamp,
                user_ref_num,
            };
            let length = message.write_fields(out);
            finish(length, outbound::CancelPending::BLOCK, user_ref, out)
        }
        Event::CancelReject(user_ref) => {
            let user_ref_num = user_ref.number;
            let message = outbound::CancelReject {
                timestamp,
                user_ref_num,
            };
            let length = message.write_fields(out);
            finish(length, outbound::CancelReject::BLOCK, user_ref, out)
        }
        Event::PriorityUpdate(update) => {
            let length = outbound::PriorityUpdate {
                timestamp,
                user_ref_num: update.user_ref.number,
                price: update.price,
                display: update.display,
                order_reference: update.order_reference,
            }
            .write_fields(out);
            finish(
                length,
                outbound::PriorityUpdate::BLOCK,
                update.user_ref,
                out,
            )
        }
        Event::Modified(modified) => {
            let length = outbound::Modified {
                timestamp,
                user_ref_num: modified.user_ref.number,
                side: modified.side,
                quantity: modified.quantity,
            }
            .write_fields(out);
            finish(length, outbound::Modified::BLOCK, modified.user_ref, out)
        }
        Event::Restated(restated) => encode_restated(timestamp, restated, out),
        Event::MassCancelResponse(response) => {
            let length = outbound::MassCancelResponse {
                timestamp,
                user_ref_num: response.user_ref.number,
                firm: response.firm,
                symbol: response.symbol,
            }
            .write_fields(out);
            finish(
                length,
                outbound::MassCancelResponse::BLOCK,
                response.user_ref,
                out,
            )
        }
        Event::DisableResponse(response) => {
            let length = outbound::DisableResponse {
                timestamp,
                user_ref_num: response.user_ref.number,
                firm: response.firm,
            }
            .write_fields(out);
            finish(
                length,
                outbound::DisableResponse::BLOCK,
                response.user_ref,
                out,
            )
        }
        Event::EnableResponse(response) => {
            let length = outbound::EnableResponse {
                timestamp,
                user_ref_num: response.user_ref.number,
                firm: response.firm,
            }
            .write_fields(out);
            finish(
                length,
                outbound::EnableResponse::BLOCK,
                response.user_ref,
                out,
            )
        }
        Event::AccountQueryResponse(response) => {
            let next_user_ref_num = response.next.number;
            let message = outbound::AccountQueryResponse {
                timestamp,
                next_user_ref_num,
            };
            let length = message.write_fields(out);
            finish(
                length,
                outbound::AccountQueryResponse::BLOCK,
                response.next,
                out,
            )
        }
        Event::Accepted(_)
        | Event::Executed(_)
        | Event::Canceled(_)
        | Event::Replaced(_)
        | Event::Rejected(_) => unreachable!("written by encode_event"),
    }
}

fn encode_self_match(timestamp: u64, canceled: &event::SelfMatchCanceled, out: &mut [u8]) -> usize {
    let length = outbound::SelfMatchCanceled {
        timestamp,
        user_ref_num: canceled.user_ref.number,
        decrement: canceled.decrement,
        reason: b'Q',
        quantity_prevented: canceled.quantity_prevented,
        price: canceled.price,
        liquidity: canceled.liquidity,
        strategy: canceled.strategy,
    }
    .write_fields(out);
    finish(
        length,
        outbound::SelfMatchCanceled::BLOCK,
        canceled.user_ref,
        out,
    )
}

fn encode_restated(timestamp: u64, restated: &event::Restated, out: &mut [u8]) -> usize {
    let fields = outbound::Restated {
        timestamp,
        user_ref_num: restated.user_ref.number,
        reason: restated.reason,
    }
    .write_fields(out);
    let mut options = Options::after(fields, out);
    if let Some(quantity) = restated.display_quantity {
        options.push(OptionTag::DISPLAY_QUANTITY, quantity);
    }
    if let Some(price) = restated.display_price {
        options.push(OptionTag::DISPLAY_PRICE, price);
    }
    if let Some(reference) = restated.secondary_reference {
        options.push(OptionTag::SECONDARY_ORDER_REFERENCE, reference);
    }
    options.push_user_ref_idx(restated.user_ref);
    options.finish()
}

/// Completes a message whose only option is the channel of its user reference number.
#[inline(always)]
fn finish(fields_length: usize, block: Block, user_ref: UserRef, out: &mut [u8]) -> usize {
    if user_ref.index == 0 {
        if block == Block::Optional {
            return fields_length;
        }
        out[fields_length..fields_length + LENGTH_FIELD].fill(0);
        return fields_length + LENGTH_FIELD;
    }
    let mut options = Options::after(fields_length, out);
    options.push_user_ref_idx(user_ref);
    options.finish()
}

/// Completes Accepted and Replaced: the options as accepted, then the channel.
#[inline(always)]
fn finish_terms(
    fields_length: usize,
    block: Block,
    terms: &OrderTerms<'_>,
    out: &mut [u8],
) -> usize {
    if terms.options.is_empty() {
        return finish(fields_length, block, terms.user_ref, out);
    }
    let mut options = Options::after(fields_length, out);
    options.echo(terms.options);
    options.push_user_ref_idx(terms.user_ref);
    options.finish()
}

/// Writes options behind a message's fields.
struct Options<'a> {
    out: &'a mut [u8],
    fields_length: usize,
    length: usize,
}

impl<'a> Options<'a> {
    fn after(fields_length: usize, out: &'a mut [u8]) -> Self {
        Self {
            out,
            fields_length,
            length: fields_length + LENGTH_FIELD,
        }
    }

    fn claim(&mut self, tag: OptionTag, width: usize) -> &mut [u8] {
        let element = &mut self.out[self.length..self.length + ELEMENT_HEADER + width];
        self.length += element.len();
        element[0] = (1 + width) as u8;
        element[1] = tag.0;
        &mut element[ELEMENT_HEADER..]
    }

    fn push<F: Field>(&mut self, tag: OptionTag, value: F) {
        value.write(self.claim(tag, F::WIDTH));
    }

    fn push_user_ref_idx(&mut self, user_ref: UserRef) {
        if user_ref.index != 0 {
            self.push(OptionTag::USER_REF_IDX, user_ref.index);
        }
    }

    /// Writes the length field; returns the length of the whole message.
    fn finish(self) -> usize {
        let options_at = self.fields_length + LENGTH_FIELD;
        let length = (self.length - options_at) as u16;
        length.write(&mut self.out[self.fields_length..options_at]);
        self.length
    }

    /// The parts that have a client's tag and its width, each tag once, in the order of the parts; so
    /// that the sum of the tag table bounds them. The channel is not among them: it is the event's.
    #[inline(never)]
    fn echo(&mut self, parts: Parts<'_>) {
        let mut echoed = 0u32;
        const _: () = assert!(OPTIONS.len() <= 32);
        for part in parts {
            let Some((row, tag)) = echoed_tag(&part) else {
                continue;
            };
            if echoed & (1 << row) != 0 {
                continue;
            }
            echoed |= 1 << row;
            let integer = OPTIONS[row].encoding == Encoding::Integer;
            let out = self.claim(tag, part.value.len());
            out.copy_from_slice(part.value);
            if integer {
                out.reverse();
            }
        }
    }
}

/// Row of the tag table and tag of a part that is echoed.
fn echoed_tag(part: &Part<'_>) -> Option<(usize, OptionTag)> {
    let tag = OptionTag(u8::try_from(part.tag.0).ok()?);
    let row = tag.row()?;
    let spec = &OPTIONS[row];
    let echoed = !spec.venue_only
        && tag != OptionTag::USER_REF_IDX
        && part.value.len() == usize::from(spec.width);
    echoed.then_some((row, tag))
}
