//! From one table a message: a struct of its values, a view of its bytes, and both ways between them.
//!
//! A row is `offset field: type`. That the rows tile the fixed part without gap is asserted where the
//! table is compiled.

/// Whether rows of (offset, width) fill the bytes after the type up to `length` without gap.
pub(super) const fn tiles(rows: &[(usize, usize)], length: usize) -> bool {
    let mut end = 1;
    let mut at = 0;
    while at < rows.len() {
        if rows[at].0 != end {
            return false;
        }
        end += rows[at].1;
        at += 1;
    }
    end == length
}

/// Defines messages. `$fixed` is the fixed part of the field's size table: with the appendage's length
/// field where that is always there.
macro_rules! messages {
    ($(
        $(#[$doc:meta])*
        $name:ident / $view:ident = $type:literal, $fixed:literal bytes, $block:ident appendage {
            $( $(#[$field_doc:meta])* $offset:literal $field:ident: $field_type:ty, )*
        }
    )*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub struct $name {
            $( $(#[$field_doc])* pub $field: $field_type, )*
        }

        impl $name {
            /// First byte of the message.
            pub const TYPE: u8 = $type;
            /// Bytes of the fixed part, as in the field's size table.
            pub const FIXED_LENGTH: usize = $fixed;
            pub(super) const BLOCK: Block = Block::$block;
            /// Bytes of type and fields, without the appendage's length field.
            pub(super) const FIELDS_LENGTH: usize = match Self::BLOCK {
                Block::Always => $fixed - LENGTH_FIELD,
                Block::Optional | Block::Never => $fixed,
            };

            const TILED: () = assert!(tiles(
                &[$( ($offset, <$field_type as Field>::WIDTH), )*],
                Self::FIELDS_LENGTH,
            ));

            /// Writes the message with these options into `out` and returns its length. Panics if
            /// `out` is too short for it.
            #[inline]
            pub fn encode(&self, appendage: Appendage<'_>, out: &mut [u8]) -> usize {
                let length = self.write_fields(out);
                length + appendage.write(Self::BLOCK, &mut out[length..])
            }

            /// Writes type and fields; returns their length.
            #[inline(always)]
            pub(super) fn write_fields(&self, out: &mut [u8]) -> usize {
                let () = Self::TILED;
                let out = &mut out[..Self::FIELDS_LENGTH];
                out[0] = Self::TYPE;
                $( self.$field.write(&mut out[$offset..$offset + <$field_type as Field>::WIDTH]); )*
                Self::FIELDS_LENGTH
            }
        }

        #[doc = concat!("View of a [`", stringify!($name), "`].")]
        #[derive(Clone, Copy)]
        pub struct $view<'a> {
            fixed: &'a [u8; $name::FIELDS_LENGTH],
            appendage: Appendage<'a>,
        }

        impl<'a> $view<'a> {
            /// Checks the length and the form of the options; `payload` begins with the type.
            #[inline(always)]
            pub(super) fn parse(payload: &'a [u8]) -> Result<Self, OuchError> {
                let Some((fixed, rest)) = payload.split_first_chunk() else {
                    return Err(OuchError::Length {
                        message: $type,
                        length: payload.len(),
                        fixed: $fixed,
                    });
                };
                let appendage =
                    Appendage::parse($type, $name::BLOCK, $name::FIELDS_LENGTH, rest)?;
                Ok(Self { fixed, appendage })
            }

            $(
                $(#[$field_doc])*
                #[inline(always)]
                pub fn $field(&self) -> $field_type {
                    Field::read(&self.fixed[$offset..$offset + <$field_type as Field>::WIDTH])
                }
            )*

            #[inline(always)]
            pub fn appendage(&self) -> Appendage<'a> {
                self.appendage
            }

            /// The fields by value.
            pub fn values(&self) -> $name {
                $name { $( $field: self.$field(), )* }
            }

            /// Bytes of the whole message.
            pub fn length(&self) -> usize {
                let block = if self.appendage.is_present() { LENGTH_FIELD } else { 0 };
                self.fixed.len() + block + self.appendage.as_bytes().len()
            }
        }

        impl fmt::Debug for $view<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($view))
                    .field(&self.values())
                    .field(&self.appendage)
                    .finish()
            }
        }
    )*};
}

/// Defines the enum of all messages of one direction, by type.
macro_rules! direction {
    ($(#[$doc:meta])* $direction:ident: $( $name:ident / $view:ident )*) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub enum $direction<'a> {
            $( $name($view<'a>), )*
        }

        impl<'a> $direction<'a> {
            /// Reads one message: known type, legal length, options of legal form.
            #[inline]
            pub fn parse(payload: &'a [u8]) -> Result<Self, OuchError> {
                let Some(&message) = payload.first() else {
                    return Err(OuchError::Empty);
                };
                match message {
                    $( $name::TYPE => $view::parse(payload).map(Self::$name), )*
                    other => Err(OuchError::UnknownType(other)),
                }
            }

            /// Options of the message.
            #[inline]
            pub fn appendage(&self) -> Appendage<'a> {
                match self {
                    $( Self::$name(message) => message.appendage(), )*
                }
            }

            /// Bytes of the whole message.
            pub fn length(&self) -> usize {
                match self {
                    $( Self::$name(message) => message.length(), )*
                }
            }

            /// Writes the same bytes again; returns how many. Proves to tests and fuzzers that nothing
            /// was lost in reading.
            pub fn encode(&self, out: &mut [u8]) -> usize {
                match self {
                    $( Self::$name(message) => message.values().encode(message.appendage(), out), )*
                }
            }

            /// First byte of each message of this direction, with its fixed part's length.
            pub const MESSAGES: &'static [(u8, usize)] =
                &[$( ($name::TYPE, $name::FIXED_LENGTH), )*];
        }
    };
}

pub(super) use {direction, messages};
