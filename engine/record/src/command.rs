//! Bodies of the commands: one rkyv type per kind and version.
//!
//! Fields carry the raw values of the wire, legal or not: the state machine decides, so that a reject
//! is the same on every node. Text is as the client sent it (padded with spaces). Every offset below is
//! the offset in the archive, asserted at compile time.

// rkyv's derive makes a resolver type per body that has no Debug and that nobody sees.
#![allow(missing_debug_implementations)]

use crate::record::{Body, Kind, Policy};
use rkyv::rancor::Failure;
use rkyv::ser::writer::Buffer;
use rkyv::{Archive, Deserialize, Serialize};

macro_rules! bodies {
    ($(
        $(#[$doc:meta])*
        $name:ident / $archived:ident = $kind:ident v $version:literal $policy:ident, $length:literal bytes {
            $( $(#[$field_doc:meta])* $offset:literal $field:ident: $type:ty, )*
        }
    )*) => {$(
        $(#[$doc])*
        #[derive(Archive, Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
        #[rkyv(derive(Debug))]
        pub struct $name {
            $( $(#[$field_doc])* pub $field: $type, )*
        }

        const _: () = {
            assert!(size_of::<$archived>() == $length && $length % 8 == 0);
            assert!(align_of::<$archived>() <= 8);
            $( assert!(core::mem::offset_of!($archived, $field) == $offset); )*
            // No implicit padding: the fields' sizes add up to the whole.
            assert!(0 $( + size_of::<<$type as Archive>::Archived>() )* == $length);
        };

        impl Body for $name {
            type Archived = $archived;
            const KIND: Kind = Kind::$kind;
            const VERSION: u8 = $version;
            const POLICY: Policy = Policy::$policy;
            const LENGTH: usize = $length;

            #[inline]
            fn write(&self, out: &mut [u8]) {
                assert!(out.len() == $length);
                let mut buffer = Buffer::from(out);
                let position = rkyv::api::serialize_using::<_, Failure>(self, &mut buffer);
                // A flat archive written from position 0 into a buffer of its size cannot fail.
                assert!(position == Ok(0) && buffer.len() == $length);
            }

            #[inline(always)]
            fn view(bytes: &[u8]) -> Option<&$archived> {
                if bytes.len() != $length {
                    return None;
                }
                rkyv::api::low::access_pos::<$archived, Failure>(bytes, 0).ok()
            }

            fn from_archived(archived: &$archived) -> Self {
                rkyv::api::deserialize_using::<Self, _, Failure>(archived, &mut ())
                    .unwrap_or_else(|_| unreachable!("integers always deserialize"))
            }
        }
    )*};
}

bodies! {
    /// An authenticated login. The gateway has checked the password; the state machine decides whether
    /// the requested session and number exist, gives the connection its epoch, and ends an older one.
    Login / ArchivedLogin = LOGIN v 1 Halt, 64 bytes {
        /// The gateway's handle of the connection; echoed in the answer.
        0 connection: u64,
        /// Next number wanted; 0 = new messages only.
        8 requested_number: u64,
        /// Peer address, IPv6 or IPv4-mapped, network order; for the audit only.
        16 peer_address: [u8; 16],
        32 peer_port: u16,
        34 user: [u8; 6],
        /// Trading session wanted; spaces = the current one.
        40 requested_session: [u8; 10],
        50 _reserved: [u8; 14],
    }

    /// The client sent a logout request.
    Logout / ArchivedLogout = LOGOUT v 1 Halt, 8 bytes {
        0 connection: u64,
    }

    /// The connection ended. Reason: 1 peer closed, 2 timed out, 3 protocol violation, 4 I/O error,
    /// 5 the node's stop.
    Disconnect / ArchivedDisconnect = DISCONNECT v 1 Halt, 16 bytes {
        0 connection: u64,
        8 reason: u8,
        9 _reserved: [u8; 7],
    }

    /// OUCH `O`.
    EnterOrder / ArchivedEnterOrder = ENTER_ORDER v 1 Reject, 48 bytes {
        0 price: u64,
        8 symbol: [u8; 8],
        16 user_ref_num: u32,
        20 quantity: u32,
        24 side: u8,
        25 time_in_force: u8,
        26 display: u8,
        27 capacity: u8,
        28 intermarket_sweep: u8,
        29 cross_type: u8,
        30 client_order_id: [u8; 14],
        44 _reserved: [u8; 4],
    }

    /// OUCH `U`. Quantity: total liability of the chain, executed shares included.
    ReplaceOrder / ArchivedReplaceOrder = REPLACE_ORDER v 1 Reject, 40 bytes {
        0 price: u64,
        8 original_user_ref_num: u32,
        12 user_ref_num: u32,
        16 quantity: u32,
        20 time_in_force: u8,
        21 display: u8,
        22 intermarket_sweep: u8,
        23 client_order_id: [u8; 14],
        37 _reserved: [u8; 3],
    }

    /// OUCH `X`. Quantity: the new total of the chain; 0 cancels all that is open.
    CancelOrder / ArchivedCancelOrder = CANCEL_ORDER v 1 Reject, 8 bytes {
        0 user_ref_num: u32,
        4 quantity: u32,
    }

    /// OUCH `M`.
    ModifyOrder / ArchivedModifyOrder = MODIFY_ORDER v 1 Reject, 16 bytes {
        0 user_ref_num: u32,
        4 quantity: u32,
        8 side: u8,
        9 _reserved: [u8; 7],
    }

    /// OUCH `C`. Blank firm = the session's; blank symbol = all.
    MassCancel / ArchivedMassCancel = MASS_CANCEL v 1 Reject, 16 bytes {
        0 user_ref_num: u32,
        4 firm: [u8; 4],
        8 symbol: [u8; 8],
    }

    /// OUCH `D`.
    DisableEntry / ArchivedDisableEntry = DISABLE_ENTRY v 1 Reject, 8 bytes {
        0 user_ref_num: u32,
        4 firm: [u8; 4],
    }

    /// OUCH `E`.
    EnableEntry / ArchivedEnableEntry = ENABLE_ENTRY v 1 Reject, 8 bytes {
        0 user_ref_num: u32,
        4 firm: [u8; 4],
    }

    /// OUCH `Q`.
    AccountQuery / ArchivedAccountQuery = ACCOUNT_QUERY v 1 Reject, 8 bytes {
        0 _reserved: u64,
    }

    /// The bounds that can reject. The first record of every log; later ones may only raise them.
    SetBounds / ArchivedSetBounds = SET_BOUNDS v 1 Halt, 32 bytes {
        /// Live orders over all books.
        0 open_orders_max: u32,
        4 instruments_max: u32,
        8 sessions_max: u32,
        12 firms_max: u32,
        /// Occupied price levels over all books.
        16 price_levels_max: u32,
        20 _reserved: [u8; 12],
    }

    /// Defines or changes a firm (= account).
    DefineFirm / ArchivedDefineFirm = DEFINE_FIRM v 1 Halt, 8 bytes {
        /// 1..=firms_max.
        0 firm: u32,
        /// As on the wire: upper case, padded right with spaces.
        4 code: [u8; 4],
    }

    /// Defines or changes a session (an OUCH port). Further firms: `PERMITTED_FIRM` parts.
    DefineSession / ArchivedDefineSession = DEFINE_SESSION v 1 Halt, 24 bytes {
        /// 1..=sessions_max.
        0 session: u32,
        4 firm: u32,
        /// Folded to upper case, padded right with spaces; unique.
        8 user: [u8; 6],
        /// 1: cancel the session's orders when its connection ends.
        14 cancel_on_disconnect: u8,
        /// 1: may enter orders.
        15 order_entry: u8,
        16 _reserved: [u8; 8],
    }

    /// Defines or changes an instrument.
    DefineInstrument / ArchivedDefineInstrument = DEFINE_INSTRUMENT v 1 Halt, 32 bytes {
        0 symbol: [u8; 8],
        /// 1..=instruments_max and at most 65,535 (the ITCH stock locate).
        8 instrument: u32,
        /// Prices must be multiples of it, in 1/10,000; at least 1.
        12 tick_size: u32,
        /// Quantities must be multiples of it; at least 1.
        16 lot_size: u32,
        20 _reserved: [u8; 12],
    }

    /// Opens a trading day: resets user reference numbers and outbound numbers.
    DayOpen / ArchivedDayOpen = DAY_OPEN v 1 Halt, 32 bytes {
        /// ns since the Unix epoch of the midnight from which wire time counts.
        0 midnight: u64,
        /// YYYYMMDD.
        8 date: u32,
        /// Soup session name of the day, padded left with spaces.
        12 session_name: [u8; 10],
        22 _reserved: [u8; 10],
    }

    /// Closes the trading day: expires day orders and ends the outbound streams.
    DayClose / ArchivedDayClose = DAY_CLOSE v 1 Halt, 8 bytes {
        0 _reserved: u64,
    }

    /// Sets an instrument's trading state at once: b'C' closed, b'P' pre-open, b'O' opening auction, b'T'
    /// continuous trading, b'H' halted, b'V' volatility auction, b'L' closing auction.
    SetInstrumentState / ArchivedSetInstrumentState = SET_INSTRUMENT_STATE v 1 Halt, 8 bytes {
        0 instrument: u32,
        4 state: u8,
        5 _reserved: [u8; 3],
    }

    /// Begins an auction whose call ends by itself.
    StartAuction / ArchivedStartAuction = START_AUCTION v 1 Halt, 16 bytes {
        0 instrument: u32,
        /// Of the call, in ms; at most a day.
        4 duration_ms: u32,
        /// The call lasts up to so much longer, drawn at random; at most an hour.
        8 random_end_ms: u32,
        /// b'O', b'V' or b'L'.
        12 state: u8,
        /// State after the uncrossing: b'T' or b'C'.
        13 next_state: u8,
        14 _reserved: [u8; 2],
    }

    /// When an instrument changes its state each day, in ms after midnight; all ones = not by itself. Those
    /// that are given ascend.
    SetSchedule / ArchivedSetSchedule = SET_SCHEDULE v 1 Halt, 32 bytes {
        0 instrument: u32,
        4 pre_open_ms: u32,
        8 opening_auction_ms: u32,
        /// Ends the call of the opening auction.
        12 trading_ms: u32,
        16 closing_auction_ms: u32,
        /// Ends the call of the closing auction.
        20 closed_ms: u32,
        /// A call that the schedule ends lasts up to so much longer, drawn at random; at most an hour.
        24 random_end_ms: u32,
        28 _reserved: u32,
    }

    /// Sets the price around which the static collar lies and that decides between equal auction prices.
    SetReferencePrice / ArchivedSetReferencePrice = SET_REFERENCE_PRICE v 1 Halt, 16 bytes {
        /// In 1/10,000, on a tick; 0 = none.
        0 price: u64,
        8 instrument: u32,
        12 _reserved: u32,
    }

    /// Enables, disables or kills order entry of a session, a firm or the venue.
    SetEntryState / ArchivedSetEntryState = SET_ENTRY_STATE v 1 Halt, 8 bytes {
        /// Session or firm; 0 for the venue.
        0 id: u32,
        /// b'S' session, b'F' firm, b'V' the whole venue.
        4 scope: u8,
        /// b'E' enabled, b'D' disabled (live orders stay), b'K' killed: disabled, and all its live orders
        /// are cancelled.
        5 state: u8,
        6 _reserved: [u8; 2],
    }

    /// Cancels all live orders that fit; what is 0 does not choose.
    OperatorMassCancel / ArchivedOperatorMassCancel = OPERATOR_MASS_CANCEL v 1 Halt, 16 bytes {
        0 session: u32,
        4 firm: u32,
        8 instrument: u32,
        12 group_id: u16,
        /// 1: only orders of `group_id` (0 = orders without a group).
        14 by_group: u8,
        /// `B`, `S`, `T`, `E`: the letter itself; 0 = any.
        15 side: u8,
    }

    /// Cancels what is open of one order.
    OperatorCancel / ArchivedOperatorCancel = OPERATOR_CANCEL v 1 Halt, 24 bytes {
        /// Its order reference, which must be the order's; 0 = not compared.
        0 reference: u64,
        8 session: u32,
        12 user_ref_num: u32,
        16 user_ref_idx: u8,
        17 _reserved: [u8; 7],
    }

    /// Breaks a trade of the day: both sides hear so, and their positions are corrected.
    BreakTrade / ArchivedBreakTrade = BREAK_TRADE v 1 Halt, 16 bytes {
        0 match_number: u64,
        /// `E` erroneous, `C` consent, `S` supervisory, `X` external.
        8 reason: u8,
        9 _reserved: [u8; 7],
    }

    /// Sets all limits of a session or a firm; 0 = none.
    SetLimits / ArchivedSetLimits = SET_LIMITS v 1 Halt, 56 bytes {
        /// Price times quantity of one order, in 1/10,000.
        0 order_notional_max: u64,
        /// The same over all live orders.
        8 open_notional_max: u64,
        /// Of a firm, by instrument: shares long if all its buys traded and none of its sells.
        16 long_max: u64,
        /// Of a firm, by instrument: shares short if all its sells traded and none of its buys.
        24 short_max: u64,
        /// Of a firm, by instrument: shares bought and sold today, and open on both sides.
        32 gross_max: u64,
        40 order_quantity_max: u32,
        44 open_orders_max: u32,
        48 id: u32,
        /// b'S' session, b'F' firm.
        52 scope: u8,
        53 _reserved: [u8; 3],
    }

    /// Bounds a session's requests in a window of time; 0 messages = not bounded.
    SetThrottle / ArchivedSetThrottle = SET_THROTTLE v 1 Halt, 16 bytes {
        /// ns.
        0 window: u64,
        8 session: u32,
        12 messages_max: u32,
    }

    /// Market-maker protection of a session's orders, or of those of one group; begins untripped. Both
    /// limits 0 = it ends.
    SetProtection / ArchivedSetProtection = SET_PROTECTION v 1 Halt, 32 bytes {
        /// ns.
        0 window: u64,
        /// Shares executed in a window; 0 = any number.
        8 quantity_max: u64,
        16 session: u32,
        /// Executions in a window; 0 = any number.
        20 executions_max: u32,
        24 group_id: u16,
        /// 1: orders of `group_id` (0 = orders without a group); 0: all orders of the session.
        26 by_group: u8,
        27 _reserved: [u8; 5],
    }

    /// Ends what a tripped protection refuses, and counts from 0 again.
    ResetProtection / ArchivedResetProtection = RESET_PROTECTION v 1 Halt, 8 bytes {
        0 session: u32,
        4 group_id: u16,
        /// 1: the protection of `group_id`; 0: all of the session.
        6 by_group: u8,
        7 _reserved: u8,
    }

    /// Sets the net position that a firm has in an instrument beside what it traded today.
    SetPosition / ArchivedSetPosition = SET_POSITION v 1 Halt, 16 bytes {
        /// Shares; below 0 = short.
        0 position: i64,
        8 firm: u32,
        12 instrument: u32,
    }

    /// Takes an instrument out of trading; its id and symbol are free from the next day on.
    RetireInstrument / ArchivedRetireInstrument = RETIRE_INSTRUMENT v 1 Halt, 8 bytes {
        0 instrument: u32,
        4 _reserved: [u8; 4],
    }

    /// Bounds of what protection keeps; 0 = it keeps none. They may only rise.
    SetRiskBounds / ArchivedSetRiskBounds = SET_RISK_BOUNDS v 1 Halt, 16 bytes {
        /// Pairs of firm and instrument with a position.
        0 positions_max: u32,
        /// Latest trades that can be broken.
        4 trades_max: u32,
        /// Market-maker protections over all sessions.
        8 protections_max: u32,
        12 _reserved: [u8; 4],
    }

    /// How long a session that lost its connection to a change of leader may stay away before its orders
    /// are cancelled, if it wants that; 0 = for ever.
    SetGrace / ArchivedSetGrace = SET_GRACE v 1 Halt, 8 bytes {
        /// ns.
        0 grace: u64,
    }
}
