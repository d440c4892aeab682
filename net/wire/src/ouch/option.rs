//! Option tags: what each is, and how its value is stored in a command record.

use lockstep_record::{PartTag, Policy};

/// How an option's value is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Encoding {
    /// Text, one letter included: stored byte for byte as sent.
    Text,
    /// Big-endian on the wire, little-endian in a record; two's complement where signed.
    Integer,
}

/// An option's tag on the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct OptionTag(pub u8);

/// One row of the tag table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OptionSpec {
    pub tag: OptionTag,
    pub name: &'static str,
    /// Bytes of the value.
    pub width: u8,
    pub encoding: Encoding,
    /// Only the venue says it; it is never echoed.
    pub venue_only: bool,
}

macro_rules! options {
    ($( $tag:literal $constant:ident $name:literal $width:literal $encoding:ident $sender:ident; )*) => {
        impl OptionTag {
            $( pub const $constant: Self = Self($tag); )*
        }

        /// The tag table: OUCH 5.0's, then the venue's own from 200 up.
        pub const OPTIONS: &[OptionSpec] = &[$(
            OptionSpec {
                tag: OptionTag($tag),
                name: $name,
                width: $width,
                encoding: Encoding::$encoding,
                venue_only: options!(@ $sender),
            },
        )*];
    };
    (@ Venue) => { true };
    (@ Client) => { false };
}

options! {
    1 SECONDARY_ORDER_REFERENCE "SecondaryOrdRefNum" 8 Integer Venue;
    2 FIRM "Firm" 4 Text Client;
    3 MIN_QUANTITY "MinQty" 4 Integer Client;
    4 CUSTOMER_TYPE "CustomerType" 1 Text Client;
    5 MAX_FLOOR "MaxFloor" 4 Integer Client;
    6 PRICE_TYPE "PriceType" 1 Text Client;
    7 PEG_OFFSET "PegOffset" 4 Integer Client;
    9 DISCRETION_PRICE "DiscretionPrice" 8 Integer Client;
    10 DISCRETION_PRICE_TYPE "DiscretionPriceType" 1 Text Client;
    11 DISCRETION_PEG_OFFSET "DiscretionPegOffset" 4 Integer Client;
    12 POST_ONLY "PostOnly" 1 Text Client;
    13 RANDOM_RESERVES "RandomReserves" 4 Integer Client;
    14 ROUTE "Route" 4 Text Client;
    15 EXPIRE_TIME "ExpireTime" 4 Integer Client;
    16 TRADE_NOW "TradeNow" 1 Text Client;
    17 HANDLE_INST "HandleInst" 1 Text Client;
    18 BBO_WEIGHT "BBO Weight" 1 Text Venue;
    22 DISPLAY_QUANTITY "Display Quantity" 4 Integer Venue;
    23 DISPLAY_PRICE "Display Price" 8 Integer Venue;
    24 GROUP_ID "GroupID" 2 Integer Client;
    25 SHARES_LOCATED "SharesLocated" 1 Text Client;
    26 LOCATE_BROKER "LocateBroker" 4 Text Client;
    27 SIDE "Side" 1 Text Client;
    28 USER_REF_IDX "UserRefIdx" 1 Integer Client;
    200 STOP_PRICE "StopPrice" 8 Integer Client;
    201 STOP_KIND "StopKind" 1 Text Client;
    202 TRAIL_OFFSET "TrailOffset" 4 Integer Client;
    203 SELF_TRADE_PREVENTION "SelfTradePrevention" 1 Text Client;
    204 EXPIRE_DATE_TIME "ExpireDateTime" 8 Integer Client;
}

/// First of the tags that a reader must not ignore when it does not know them.
const VENUE_TAG_MIN: u8 = 200;

/// Index into `OPTIONS` by tag; `UNKNOWN` elsewhere.
static INDEX: [u8; 256] = {
    let mut index = [UNKNOWN; 256];
    let mut at = 0;
    while at < OPTIONS.len() {
        let tag = OPTIONS[at].tag.0 as usize;
        assert!(index[tag] == UNKNOWN, "a tag stands twice");
        index[tag] = at as u8;
        at += 1;
    }
    index
};
const UNKNOWN: u8 = u8::MAX;
const _: () = assert!(OPTIONS.len() < UNKNOWN as usize);

impl OptionTag {
    /// Index of the tag's row in [`OPTIONS`]; `None` for a tag that nobody has given a meaning.
    #[inline]
    pub(super) fn row(self) -> Option<usize> {
        let row = INDEX[usize::from(self.0)];
        (row != UNKNOWN).then_some(usize::from(row))
    }

    /// The tag's row in the tag table; `None` for a tag that nobody has given a meaning.
    #[inline]
    pub fn spec(self) -> Option<&'static OptionSpec> {
        self.row().map(|row| &OPTIONS[row])
    }

    /// What a state machine that does not know the tag must do with it: ignore the unassigned ones
    /// below 200, as OUCH does; reject everything else, since it changes what the order means. Tag 0
    /// is no tag of anybody's and is rejected.
    #[inline]
    pub fn policy(self) -> Policy {
        let assigned = self.spec().is_some();
        if assigned || self.0 == 0 || self.0 >= VENUE_TAG_MIN {
            Policy::Reject
        } else {
            Policy::Ignore
        }
    }

    /// Whether a value of `width` bytes is an integer of this tag, whose byte order differs between
    /// wire and record.
    #[inline]
    pub(super) fn is_integer(self, width: usize) -> bool {
        self.spec().is_some_and(|spec| {
            spec.encoding == Encoding::Integer && usize::from(spec.width) == width
        })
    }
}

impl From<OptionTag> for PartTag {
    fn from(tag: OptionTag) -> Self {
        Self(u16::from(tag.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The record crate names the same tags; both must mean the same.
    #[test]
    fn tags_agree_with_the_record_crate() {
        let pairs = [
            (OptionTag::FIRM, PartTag::FIRM),
            (OptionTag::MIN_QUANTITY, PartTag::MIN_QUANTITY),
            (OptionTag::CUSTOMER_TYPE, PartTag::CUSTOMER_TYPE),
            (OptionTag::MAX_FLOOR, PartTag::MAX_FLOOR),
            (OptionTag::PRICE_TYPE, PartTag::PRICE_TYPE),
            (OptionTag::PEG_OFFSET, PartTag::PEG_OFFSET),
            (OptionTag::DISCRETION_PRICE, PartTag::DISCRETION_PRICE),
            (
                OptionTag::DISCRETION_PRICE_TYPE,
                PartTag::DISCRETION_PRICE_TYPE,
            ),
            (
                OptionTag::DISCRETION_PEG_OFFSET,
                PartTag::DISCRETION_PEG_OFFSET,
            ),
            (OptionTag::POST_ONLY, PartTag::POST_ONLY),
            (OptionTag::RANDOM_RESERVES, PartTag::RANDOM_RESERVES),
            (OptionTag::ROUTE, PartTag::ROUTE),
            (OptionTag::EXPIRE_TIME, PartTag::EXPIRE_TIME),
            (OptionTag::TRADE_NOW, PartTag::TRADE_NOW),
            (OptionTag::HANDLE_INST, PartTag::HANDLE_INST),
            (OptionTag::GROUP_ID, PartTag::GROUP_ID),
            (OptionTag::SHARES_LOCATED, PartTag::SHARES_LOCATED),
            (OptionTag::LOCATE_BROKER, PartTag::LOCATE_BROKER),
            (OptionTag::SIDE, PartTag::SIDE),
            (OptionTag::USER_REF_IDX, PartTag::USER_REF_IDX),
            (OptionTag::STOP_PRICE, PartTag::STOP_PRICE),
            (OptionTag::STOP_KIND, PartTag::STOP_KIND),
            (OptionTag::TRAIL_OFFSET, PartTag::TRAIL_OFFSET),
            (
                OptionTag::SELF_TRADE_PREVENTION,
                PartTag::SELF_TRADE_PREVENTION,
            ),
            (OptionTag::EXPIRE_DATE_TIME, PartTag::EXPIRE_DATE_TIME),
        ];
        let client = OPTIONS.iter().filter(|spec| !spec.venue_only).count();
        assert_eq!(pairs.len(), client);
        for (tag, part) in pairs {
            assert_eq!(PartTag::from(tag), part);
        }
    }

    #[test]
    fn policy_is_reject_for_known_tags_and_from_200_up() {
        for tag in 0..=255u8 {
            let known = OPTIONS.iter().any(|spec| spec.tag.0 == tag);
            let expected = if known || tag == 0 || tag >= 200 {
                Policy::Reject
            } else {
                Policy::Ignore
            };
            assert_eq!(OptionTag(tag).policy(), expected, "tag {tag}");
        }
        for unassigned in [8, 19, 20, 21, 29, 199] {
            assert_eq!(OptionTag(unassigned).policy(), Policy::Ignore);
        }
    }

    #[test]
    fn lookup_finds_each_row_and_nothing_else() {
        let found = (0..=255u8).filter_map(|tag| OptionTag(tag).spec()).count();
        assert_eq!(found, OPTIONS.len());
        assert!(OPTIONS.iter().all(|spec| spec.tag.spec() == Some(spec)));
    }
}
