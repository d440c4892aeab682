//! The options (extension parts) of a client's record, read once into typed fields.
//!
//! An option that this state machine cannot read makes the set *faulty*; each command says what that
//! means for it. Only the wish to halt is an error, and no client can express it.

use crate::extension::Extension;
use crate::order::{
    Detail, KEPT_CUSTOMER_TYPE, KEPT_FIRM, KEPT_GROUP_ID, KEPT_POST_ONLY, KEPT_SELF_TRADE,
    KEPT_TRADE_NOW,
};
use lockstep_record::{Part, PartTag, Parts, Policy, Timestamp, write_part};

/// Every option known here, once, with its part header and padding; what an echo can need.
pub(crate) const ECHO_LENGTH_MAX: usize = 25 * 16;

macro_rules! options {
    ($( $field:ident: $type:ty = $default:expr, $tag:ident, $read:ident; )*) => {
        /// Values of the options; absent ones have their default.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub(crate) struct Options {
            /// Bit by `bit(tag)`.
            present: u64,
            /// An option is unknown and marked *reject*, of the wrong width, or there twice.
            pub faulty: bool,
            $( pub $field: $type, )*
        }

        impl Options {
            pub const NONE: Self = Self { present: 0, faulty: false, $( $field: $default, )* };

            fn set(&mut self, part: &Part<'_>) -> bool {
                match part.tag {
                    $( PartTag::$tag => match part.$read() {
                        Some(value) => { self.$field = value; true }
                        None => false,
                    }, )*
                    _ => false,
                }
            }

            fn is_known(tag: PartTag) -> bool {
                matches!(tag, $( PartTag::$tag )|*)
            }

            /// Writes the options that are present as parts, the channel excepted, in the order of the
            /// tag table; returns the length.
            pub fn write(&self, out: &mut [u8; ECHO_LENGTH_MAX]) -> usize {
                let mut length = 0;
                $( if PartTag::$tag != PartTag::USER_REF_IDX && self.has(PartTag::$tag) {
                    let value = &self.$field.to_part();
                    length += write_part(&mut out[length..], PartTag::$tag, Policy::Reject, value);
                } )*
                length
            }
        }
    };
}

options! {
    firm: [u8; 4] = [b' '; 4], FIRM, alpha;
    min_quantity: u32 = 0, MIN_QUANTITY, u32;
    customer_type: u8 = b' ', CUSTOMER_TYPE, u8;
    max_floor: u32 = 0, MAX_FLOOR, u32;
    price_type: u8 = b'L', PRICE_TYPE, u8;
    peg_offset: i32 = 0, PEG_OFFSET, i32;
    discretion_price: u64 = 0, DISCRETION_PRICE, u64;
    discretion_price_type: u8 = b'L', DISCRETION_PRICE_TYPE, u8;
    discretion_peg_offset: i32 = 0, DISCRETION_PEG_OFFSET, i32;
    post_only: u8 = b'N', POST_ONLY, u8;
    random_reserves: u32 = 0, RANDOM_RESERVES, u32;
    route: [u8; 4] = [b' '; 4], ROUTE, alpha;
    expire_time: u32 = 0, EXPIRE_TIME, u32;
    trade_now: u8 = b' ', TRADE_NOW, u8;
    handle_inst: u8 = b' ', HANDLE_INST, u8;
    group_id: u16 = 0, GROUP_ID, u16;
    shares_located: u8 = b'N', SHARES_LOCATED, u8;
    locate_broker: [u8; 4] = [b' '; 4], LOCATE_BROKER, alpha;
    side: u8 = 0, SIDE, u8;
    user_ref_idx: u8 = 0, USER_REF_IDX, u8;
    stop_price: u64 = 0, STOP_PRICE, u64;
    stop_kind: u8 = 0, STOP_KIND, u8;
    trail_offset: i32 = 0, TRAIL_OFFSET, i32;
    self_trade_prevention: u8 = 0, SELF_TRADE_PREVENTION, u8;
    expire_date_time: u64 = 0, EXPIRE_DATE_TIME, u64;
}

trait ToPart {
    type Bytes: AsRef<[u8]>;
    fn to_part(&self) -> Self::Bytes;
}

macro_rules! to_part {
    ($( $type:ty => $length:literal; )*) => {$(
        impl ToPart for $type {
            type Bytes = [u8; $length];
            fn to_part(&self) -> [u8; $length] {
                self.to_le_bytes()
            }
        }
    )*};
}
to_part! { u8 => 1; u16 => 2; u32 => 4; i32 => 4; u64 => 8; }

impl ToPart for [u8; 4] {
    type Bytes = [u8; 4];
    fn to_part(&self) -> [u8; 4] {
        *self
    }
}

/// A client's record asks a reader that does not know this part to halt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Halt(pub PartTag);

/// OUCH's own tags end at 28, the venue's are 200 to 204.
const fn bit(tag: PartTag) -> u64 {
    1 << (if tag.0 < 32 { tag.0 } else { tag.0 - 200 + 32 })
}
const _: () = assert!(PartTag::USER_REF_IDX.0 < 32 && PartTag::EXPIRE_DATE_TIME.0 - 200 < 32);

impl Options {
    /// Reads the options of a record that has any.
    #[inline(never)]
    pub fn parse(parts: Parts<'_>) -> Result<Self, Halt> {
        let mut options = Self::NONE;
        for part in parts {
            if Self::is_known(part.tag) {
                let bit = bit(part.tag);
                // Of a repeated option the first counts, so that the channel is known.
                options.faulty |= options.present & bit != 0 || !options.set_once(&part, bit);
                continue;
            }
            match part.policy {
                Policy::Ignore => {}
                Policy::Reject => options.faulty = true,
                Policy::Halt => return Err(Halt(part.tag)),
            }
        }
        Ok(options)
    }

    fn set_once(&mut self, part: &Part<'_>, bit: u64) -> bool {
        let set = self.set(part);
        if set {
            self.present |= bit;
        }
        set
    }

    #[inline(always)]
    pub fn has(&self, tag: PartTag) -> bool {
        self.present & bit(tag) != 0
    }

    /// Whether any of them is present.
    #[inline(always)]
    pub fn any(&self) -> bool {
        self.present & !bit(PartTag::USER_REF_IDX) != 0
    }

    pub fn put(&mut self, tag: PartTag) {
        self.present |= bit(tag);
    }

    /// Stores what a replacement inherits.
    #[inline(always)]
    pub fn keep(&self, detail: &mut Detail) {
        detail.kept = 0;
        if !self.any() {
            return;
        }
        for (tag, kept) in KEPT {
            if self.has(tag) {
                detail.kept |= kept;
            }
        }
        detail.group_id = self.group_id;
        detail.customer_type = self.customer_type;
        detail.trade_now = self.trade_now;
        detail.post_only = self.post_only;
        detail.self_trade = self.self_trade_prevention;
    }

    /// Adds what the original order had and this replacement does not say. Firm and group are the
    /// original's always.
    pub fn inherit(&mut self, original: &Detail, firm: [u8; 4]) {
        self.present &= !(bit(PartTag::FIRM) | bit(PartTag::GROUP_ID));
        self.firm = [b' '; 4];
        self.group_id = 0;
        for (tag, kept) in KEPT {
            if original.kept & kept == 0 || self.has(tag) {
                continue;
            }
            self.put(tag);
            match tag {
                PartTag::FIRM => self.firm = firm,
                PartTag::GROUP_ID => self.group_id = original.group_id,
                PartTag::CUSTOMER_TYPE => self.customer_type = original.customer_type,
                PartTag::TRADE_NOW => self.trade_now = original.trade_now,
                PartTag::POST_ONLY => self.post_only = original.post_only,
                _ => self.self_trade_prevention = original.self_trade,
            }
        }
    }
}

impl Options {
    /// Adds what an original's extension says and this replacement does not; returns the deadline that the
    /// replacement keeps.
    pub fn inherit_extension(
        &mut self,
        original: &Extension,
        time_in_force: u8,
        displayed: bool,
    ) -> Option<Timestamp> {
        if original.max_floor != 0
            && !self.has(PartTag::MAX_FLOOR)
            && displayed
            && time_in_force != b'3'
        {
            self.put(PartTag::MAX_FLOOR);
            self.max_floor = original.max_floor;
            if original.random != 0 && !self.has(PartTag::RANDOM_RESERVES) {
                self.put(PartTag::RANDOM_RESERVES);
                self.random_reserves = original.random;
            }
        }
        let given = self.has(PartTag::EXPIRE_TIME) || self.has(PartTag::EXPIRE_DATE_TIME);
        if time_in_force != b'6' || given || original.deadline == Timestamp(0) {
            return None;
        }
        if original.is_good_till_date() {
            self.put(PartTag::EXPIRE_DATE_TIME);
            self.expire_date_time = original.deadline.0;
        } else {
            self.put(PartTag::EXPIRE_TIME);
            self.expire_time = original.expire_time;
        }
        Some(original.deadline)
    }
}

const KEPT: [(PartTag, u8); 6] = [
    (PartTag::FIRM, KEPT_FIRM),
    (PartTag::GROUP_ID, KEPT_GROUP_ID),
    (PartTag::CUSTOMER_TYPE, KEPT_CUSTOMER_TYPE),
    (PartTag::TRADE_NOW, KEPT_TRADE_NOW),
    (PartTag::POST_ONLY, KEPT_POST_ONLY),
    (PartTag::SELF_TRADE_PREVENTION, KEPT_SELF_TRADE),
];
