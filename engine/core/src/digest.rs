//! The rolling digest of everything the state machine says: every field of every event and control, in
//! order.
//!
//! It tells replicas that differ, not adversaries. The words of an event are multiplied pairwise with
//! keys of their position, independently of each other, so that only one multiplication an event waits
//! for the event before.

use lockstep_record::event::{
    Accepted, ConnectionEnd, Control, Delivery, Event, OrderTerms, Replaced, UserRef,
};
use lockstep_record::{ConnectionEpoch, Gateway, SessionId};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Digest(pub u64);

/// Keys of the positions; odd words without structure (hexadecimal digits of pi).
const KEYS: [u64; 16] = [
    0x243F_6A88_85A3_08D3,
    0x1319_8A2E_0370_7345,
    0xA409_3822_299F_31D1,
    0x082E_FA98_EC4E_6C89,
    0x4528_21E6_38D0_1377,
    0xBE54_66CF_34E9_0C6D,
    0xC0AC_29B7_C97C_50DD,
    0x3F84_D5B5_B547_0917,
    0x9216_D5D9_8979_FB1B,
    0xD131_0BA6_98DF_B5AD,
    0x2FFD_72DB_D01A_DFB7,
    0xB8E1_AFED_6A26_7E97,
    0xBA7C_9045_F12C_7F99,
    0x24A1_9947_B391_6CF7,
    0x0801_F2E2_858E_FC17,
    0x6369_20D8_7157_4E69,
];

#[inline(always)]
fn mix(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

/// Folds an even number of words, each position with its own key.
#[inline(always)]
fn fold<const N: usize>(words: [u64; N]) -> u64 {
    const { assert!(N.is_multiple_of(2) && N <= KEYS.len()) };
    let mut folded = 0u64;
    let mut at = 0;
    while at < N {
        folded ^= mix(words[at] ^ KEYS[at], words[at + 1] ^ KEYS[at + 1]).rotate_left(at as u32);
        at += 2;
    }
    folded
}

#[inline(always)]
fn user_ref(user_ref: UserRef) -> u64 {
    u64::from(user_ref.number) << 8 | u64::from(user_ref.index)
}

/// Bytes of any length, for parts and the like.
fn bytes(bytes: &[u8]) -> u64 {
    let mut state = bytes.len() as u64;
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        state = mix(state ^ KEYS[1], u64::from_le_bytes(word) ^ KEYS[0]);
    }
    state
}

/// Up to 16 bytes as two words.
#[inline(always)]
fn text<const N: usize>(text: &[u8; N]) -> [u64; 2] {
    const { assert!(N <= 16) };
    let mut words = [0; 16];
    words[..N].copy_from_slice(text);
    let word = u128::from_le_bytes(words);
    [word as u64, (word >> 64) as u64]
}

impl Digest {
    /// Of a log that has said nothing.
    pub const START: Self = Self(0x0452_821E_638D_0137);

    #[inline(always)]
    fn absorb(&mut self, kind: u64, folded: u64) {
        self.0 = mix(self.0 ^ folded, KEYS[2] ^ kind);
    }

    #[inline(always)]
    pub fn event(&mut self, to: &Delivery, event: &Event<'_>) {
        let place = mix(
            u64::from(to.session.0) << 40 ^ to.number.0 ^ KEYS[15],
            to.time_ns ^ KEYS[14],
        );
        let (kind, folded) = match event {
            Event::Accepted(Accepted {
                instrument,
                terms: t,
            }) => (1, terms(u64::from(instrument.0), 0, t)),
            Event::Replaced(Replaced {
                instrument,
                original,
                terms: t,
            }) => (2, terms(u64::from(instrument.0), u64::from(*original), t)),
            Event::Executed(e) => (
                3,
                fold([
                    user_ref(e.user_ref) << 8 | u64::from(e.liquidity),
                    u64::from(e.quantity),
                    e.price.0,
                    e.match_number.0,
                ]),
            ),
            Event::Canceled(c) => (
                4,
                fold([
                    user_ref(c.user_ref),
                    u64::from(c.quantity) << 8 | c.reason as u64,
                ]),
            ),
            rare => rare_event(rare),
        };
        self.absorb(kind, folded ^ place);
    }

    pub fn control(&mut self, control: &Control) {
        let (kind, folded) = match control {
            Control::LoginAccepted {
                gateway,
                connection,
                session,
                epoch,
                session_name,
                first_number,
                next_number,
            } => {
                let [a, b] = text(session_name);
                let who = link(*gateway, *session, *epoch);
                (
                    33,
                    fold([*connection, who, a, b, first_number.0, next_number.0]),
                )
            }
            Control::LoginRejected {
                gateway,
                connection,
                reason,
            } => (
                34,
                fold([*connection, u64::from(gateway.0) << 8 | *reason as u64]),
            ),
            Control::ConnectionEnded {
                gateway,
                connection,
                session,
                epoch,
                why,
            } => {
                let why = match why {
                    ConnectionEnd::Superseded => 1,
                    ConnectionEnd::Logout => 2,
                };
                (
                    35,
                    fold([*connection, link(*gateway, *session, *epoch), why, 0]),
                )
            }
            Control::DayOpened {
                date,
                midnight,
                session_name,
            } => {
                let [a, b] = text(session_name);
                (36, fold([u64::from(*date), *midnight, a, b]))
            }
            Control::DayClosed { session_name } => (37, fold(text(session_name))),
            Control::InstrumentState { instrument, state } => {
                (38, fold([u64::from(instrument.0), u64::from(*state)]))
            }
            Control::Indication {
                instrument,
                price,
                quantity,
                imbalance,
                imbalance_side,
            } => {
                let which = u64::from(instrument.0) << 8 | u64::from(*imbalance_side);
                (39, fold([which, price.0, *quantity, *imbalance]))
            }
            Control::Uncrossed {
                instrument,
                price,
                quantity,
                cross_type,
            } => {
                let which = u64::from(instrument.0) << 8 | u64::from(*cross_type);
                (40, fold([which, price.0, *quantity, 0]))
            }
            Control::OperatorAnswered {
                request,
                sequence,
                refusal,
            } => {
                let why = refusal.map_or(0, |why| why as u64);
                (48, fold([*request, sequence.0, why, 0]))
            }
        };
        self.absorb(kind, folded);
    }
}

/// Gateway, session and epoch in 16 + 24 + 24 bits; an epoch's upper bits fold over the session's.
fn link(gateway: Gateway, session: SessionId, epoch: ConnectionEpoch) -> u64 {
    u64::from(gateway.0) << 48 ^ u64::from(session.0) << 32 ^ u64::from(epoch.0)
}

#[inline(always)]
fn terms(instrument: u64, original: u64, terms: &OrderTerms<'_>) -> u64 {
    let [id, id_rest] = text(&terms.client_order_id);
    let letters = u64::from_le_bytes([
        terms.side,
        terms.time_in_force,
        terms.display,
        terms.capacity,
        terms.intermarket_sweep,
        terms.cross_type,
        terms.state as u8,
        0,
    ]);
    let options = if terms.options.is_empty() {
        0
    } else {
        bytes(terms.options.bytes())
    };
    fold([
        user_ref(terms.user_ref),
        original << 32 | instrument,
        u64::from(terms.quantity),
        u64::from_le_bytes(terms.symbol),
        terms.price.0,
        terms.order_reference.0,
        letters,
        options,
        id,
        id_rest,
    ])
}

#[cold]
fn rare_event(event: &Event<'_>) -> (u64, u64) {
    match event {
        Event::System(code) => (5, fold([*code as u64, 0])),
        Event::SelfMatchCanceled(s) => (
            6,
            fold([
                user_ref(s.user_ref),
                u64::from(s.decrement) << 32 | u64::from(s.quantity_prevented),
                s.price.0,
                u64::from(s.liquidity) << 8 | u64::from(s.strategy),
            ]),
        ),
        Event::Broken(b) => {
            let [id, id_rest] = text(&b.client_order_id);
            let who = user_ref(b.user_ref) << 8 | u64::from(b.reason);
            (7, fold([who, b.match_number.0, id, id_rest]))
        }
        Event::Rejected(r) => {
            let [id, id_rest] = text(&r.client_order_id);
            (
                8,
                fold([user_ref(r.user_ref), r.reason as u64, id, id_rest]),
            )
        }
        Event::CancelPending(u) => (9, fold([user_ref(*u), 0])),
        Event::CancelReject(u) => (10, fold([user_ref(*u), 0])),
        Event::PriorityUpdate(p) => {
            let who = user_ref(p.user_ref) << 8 | u64::from(p.display);
            (11, fold([who, p.price.0, p.order_reference.0, 0]))
        }
        Event::Modified(m) => {
            let who = user_ref(m.user_ref) << 8 | u64::from(m.side);
            (12, fold([who, u64::from(m.quantity)]))
        }
        Event::Restated(r) => {
            let flags = u64::from(r.display_quantity.is_some())
                | u64::from(r.display_price.is_some()) << 1
                | u64::from(r.secondary_reference.is_some()) << 2
                | u64::from(r.reason) << 8;
            (
                13,
                fold([
                    user_ref(r.user_ref),
                    flags,
                    u64::from(r.display_quantity.unwrap_or(0)),
                    r.display_price.map_or(0, |p| p.0),
                    r.secondary_reference.map_or(0, |r| r.0),
                    0,
                ]),
            )
        }
        Event::MassCancelResponse(m) => {
            let firm = u64::from(u32::from_le_bytes(m.firm));
            (
                14,
                fold([user_ref(m.user_ref), firm, u64::from_le_bytes(m.symbol), 0]),
            )
        }
        Event::DisableResponse(e) => (
            15,
            fold([user_ref(e.user_ref), u64::from(u32::from_le_bytes(e.firm))]),
        ),
        Event::EnableResponse(e) => (
            16,
            fold([user_ref(e.user_ref), u64::from(u32::from_le_bytes(e.firm))]),
        ),
        Event::AccountQueryResponse(a) => (17, fold([user_ref(a.next), 0])),
        Event::Accepted(_) | Event::Replaced(_) | Event::Executed(_) | Event::Canceled(_) => {
            unreachable!("digested by the caller")
        }
    }
}
