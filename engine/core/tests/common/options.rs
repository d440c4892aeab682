//! The options of orders by name, for scripts and for what is printed: one row an option.
//!
//! A name not in the table is written `partTAG` with a value in hexadecimal digits, two a byte.

use lockstep_record::PartTag;

/// How an option's value is written in text and in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// Unsigned, of so many bytes.
    Unsigned(usize),
    /// Signed, of so many bytes.
    Signed(usize),
    /// Letters, padded with spaces to so many.
    Letters(usize),
}
use Form::{Letters, Signed, Unsigned};

/// Name, tag, form.
pub const OPTIONS: &[(&str, PartTag, Form)] = &[
    ("firm", PartTag::FIRM, Letters(4)),
    ("min", PartTag::MIN_QUANTITY, Unsigned(4)),
    ("customer", PartTag::CUSTOMER_TYPE, Letters(1)),
    ("shows", PartTag::MAX_FLOOR, Unsigned(4)),
    ("price-type", PartTag::PRICE_TYPE, Letters(1)),
    ("peg-offset", PartTag::PEG_OFFSET, Signed(4)),
    ("discretion", PartTag::DISCRETION_PRICE, Unsigned(8)),
    (
        "discretion-type",
        PartTag::DISCRETION_PRICE_TYPE,
        Letters(1),
    ),
    (
        "discretion-offset",
        PartTag::DISCRETION_PEG_OFFSET,
        Signed(4),
    ),
    ("post", PartTag::POST_ONLY, Letters(1)),
    ("random-reserves", PartTag::RANDOM_RESERVES, Unsigned(4)),
    ("route", PartTag::ROUTE, Letters(4)),
    ("seconds", PartTag::EXPIRE_TIME, Unsigned(4)),
    ("trade-now", PartTag::TRADE_NOW, Letters(1)),
    ("handling", PartTag::HANDLE_INST, Letters(1)),
    ("group", PartTag::GROUP_ID, Unsigned(2)),
    ("located", PartTag::SHARES_LOCATED, Letters(1)),
    ("locate-broker", PartTag::LOCATE_BROKER, Letters(4)),
    ("side", PartTag::SIDE, Letters(1)),
    ("channel", PartTag::USER_REF_IDX, Unsigned(1)),
    ("stop", PartTag::STOP_PRICE, Unsigned(8)),
    ("stop-kind", PartTag::STOP_KIND, Letters(1)),
    ("trail", PartTag::TRAIL_OFFSET, Signed(4)),
    ("stp", PartTag::SELF_TRADE_PREVENTION, Letters(1)),
    ("until", PartTag::EXPIRE_DATE_TIME, Unsigned(8)),
    // Of definitions.
    ("permitted", PartTag::PERMITTED_FIRM, Unsigned(4)),
    ("stp-group", PartTag::SELF_TRADE_GROUP, Unsigned(4)),
    ("stp-mode", PartTag::SELF_TRADE_MODE, Letters(1)),
    ("allocation", PartTag::ALLOCATION, Letters(1)),
    ("minimum", PartTag::ALLOCATION_MINIMUM, Unsigned(4)),
    ("top-share", PartTag::TOP_SHARE, Unsigned(4)),
    ("seed", PartTag::RANDOM_SEED, Unsigned(8)),
];

/// An option's tag and bytes from its name and value, or what is wrong with them.
pub fn read(name: &str, value: &str) -> Result<(PartTag, Vec<u8>), String> {
    let wrong = || format!("{name}={value}: not a value of this option");
    if let Some(tag) = name.strip_prefix("part") {
        let tag = PartTag(tag.parse().map_err(|_| wrong())?);
        let digits = value.as_bytes().chunks(2);
        let bytes = digits.map(|two| {
            let two = std::str::from_utf8(two).map_err(|_| wrong())?;
            u8::from_str_radix(two, 16).map_err(|_| wrong())
        });
        return Ok((tag, bytes.collect::<Result<_, _>>()?));
    }
    let row = OPTIONS.iter().find(|row| row.0 == name);
    let &(_, tag, form) = row.ok_or_else(|| format!("'{name}' is no option"))?;
    let bytes = match form {
        Letters(count) if value.len() <= count => {
            let mut bytes = value.as_bytes().to_vec();
            bytes.resize(count, b' ');
            bytes
        }
        Letters(_) => return Err(wrong()),
        Unsigned(count) => {
            let number: u64 = value.parse().map_err(|_| wrong())?;
            if count < 8 && number >> (8 * count) != 0 {
                return Err(wrong());
            }
            number.to_le_bytes()[..count].to_vec()
        }
        Signed(count) => {
            let number: i32 = value.parse().map_err(|_| wrong())?;
            number.to_le_bytes()[..count].to_vec()
        }
    };
    Ok((tag, bytes))
}

/// An option as scripts write it.
pub fn write(tag: u16, value: &[u8]) -> String {
    let row = OPTIONS.iter().find(|row| row.1.0 == tag);
    let text = row.and_then(|&(name, _, form)| {
        let value = match form {
            Letters(count) if value.len() == count => {
                String::from_utf8_lossy(value).trim_end().to_string()
            }
            Unsigned(count) if value.len() == count => {
                let mut bytes = [0; 8];
                bytes[..count].copy_from_slice(value);
                u64::from_le_bytes(bytes).to_string()
            }
            Signed(4) if value.len() == 4 => {
                i32::from_le_bytes(value.try_into().unwrap()).to_string()
            }
            _ => return None,
        };
        Some(format!("{name}={value}"))
    });
    text.unwrap_or_else(|| {
        let digits: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("part{tag}={digits}")
    })
}
