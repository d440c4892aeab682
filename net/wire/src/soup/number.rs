//! Sequence numbers as SoupBinTCP writes them: 20 ASCII digits, padded.

use thiserror::Error;

/// Bytes of a sequence number in login packets.
pub const NUMBER_WIDTH: usize = 20;

/// Why a number field is not a number.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum NumberError {
    #[error("sequence number field is blank")]
    Blank,
    #[error("sequence number field holds byte {0:#04x}, which is not a digit")]
    NotADigit(u8),
    #[error("sequence number is above 18446744073709551615")]
    TooLarge,
}

pub(super) const fn is_padding(byte: u8) -> bool {
    byte == b' ' || byte == 0
}

/// `text` without the spaces and NULs on either side.
pub(super) fn trim(text: &[u8]) -> &[u8] {
    let Some(first) = text.iter().position(|&byte| !is_padding(byte)) else {
        return &[];
    };
    let last = text
        .iter()
        .rposition(|&byte| !is_padding(byte))
        .unwrap_or(first);
    &text[first..=last]
}

/// Reads a number padded on either side with spaces or NULs: clients of the field do both.
pub fn parse_number(text: &[u8; NUMBER_WIDTH]) -> Result<u64, NumberError> {
    let digits = trim(text);
    if digits.is_empty() {
        return Err(NumberError::Blank);
    }
    digits.iter().try_fold(0u64, |number, &byte| {
        if !byte.is_ascii_digit() {
            return Err(NumberError::NotADigit(byte));
        }
        number
            .checked_mul(10)
            .and_then(|n| n.checked_add(u64::from(byte - b'0')))
            .ok_or(NumberError::TooLarge)
    })
}

/// Writes `number` padded left with spaces, as the protocol says.
pub fn write_number(mut number: u64, out: &mut [u8; NUMBER_WIDTH]) {
    out.fill(b' ');
    for byte in out.iter_mut().rev() {
        *byte = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn field(text: &str) -> [u8; NUMBER_WIDTH] {
        text.as_bytes().try_into().unwrap()
    }

    #[test]
    fn padding_on_either_side_is_accepted() {
        assert_eq!(parse_number(&field("                  42")), Ok(42));
        assert_eq!(parse_number(&field("42                  ")), Ok(42));
        assert_eq!(
            parse_number(&field("42\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0")),
            Ok(42)
        );
        assert_eq!(parse_number(&field(" \0 \0  \0    42  \0  \0 ")), Ok(42));
        assert_eq!(parse_number(&field("00000000000000000042")), Ok(42));
        assert_eq!(parse_number(&field("18446744073709551615")), Ok(u64::MAX));
    }

    #[test]
    fn what_is_no_number_is_named() {
        assert_eq!(parse_number(&[b' '; 20]), Err(NumberError::Blank));
        assert_eq!(parse_number(&[0; 20]), Err(NumberError::Blank));
        assert_eq!(
            parse_number(&field("                4 2 ")),
            Err(NumberError::NotADigit(b' '))
        );
        assert_eq!(
            parse_number(&field("                  -1")),
            Err(NumberError::NotADigit(b'-'))
        );
        assert_eq!(
            parse_number(&field("18446744073709551616")),
            Err(NumberError::TooLarge)
        );
        assert_eq!(
            parse_number(&field("99999999999999999999")),
            Err(NumberError::TooLarge)
        );
    }

    proptest! {
        #[test]
        fn written_numbers_are_padded_left_and_come_back(number: u64) {
            let mut out = [0xEE; NUMBER_WIDTH];
            write_number(number, &mut out);
            prop_assert_eq!(std::format!("{number:>20}").into_bytes(), out.to_vec());
            prop_assert_eq!(parse_number(&out), Ok(number));
        }

        #[test]
        fn any_bytes_have_a_typed_outcome(bytes: [u8; 20]) {
            if let Ok(number) = parse_number(&bytes) {
                let mut out = [0; NUMBER_WIDTH];
                write_number(number, &mut out);
                prop_assert_eq!(parse_number(&out), Ok(number));
            }
        }
    }
}
