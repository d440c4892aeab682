//! Big-endian fields of fixed width, the only kind that OUCH messages have.

use lockstep_record::{MatchNumber, OrderReference, Price};

/// A value that takes exactly [`Field::WIDTH`] bytes on the wire: integers big-endian, text as it is.
pub trait Field: Copy {
    /// Bytes on the wire.
    const WIDTH: usize;

    /// Reads the value from its bytes. Panics unless `bytes` has the width: widths are constants of
    /// the layout tables, never a client's choice.
    fn read(bytes: &[u8]) -> Self;

    /// Writes the value over `out`. Panics unless `out` has the width.
    fn write(self, out: &mut [u8]);
}

macro_rules! integers {
    ($($type:ty)*) => {$(
        impl Field for $type {
            const WIDTH: usize = size_of::<$type>();

            #[inline(always)]
            fn read(bytes: &[u8]) -> Self {
                let mut value = [0; size_of::<$type>()];
                value.copy_from_slice(bytes);
                Self::from_be_bytes(value)
            }

            #[inline(always)]
            fn write(self, out: &mut [u8]) {
                out.copy_from_slice(&self.to_be_bytes());
            }
        }
    )*};
}

integers! { u8 u16 u32 u64 i32 }

macro_rules! newtypes {
    ($($type:ident)*) => {$(
        impl Field for $type {
            const WIDTH: usize = 8;

            #[inline(always)]
            fn read(bytes: &[u8]) -> Self {
                Self(u64::read(bytes))
            }

            #[inline(always)]
            fn write(self, out: &mut [u8]) {
                self.0.write(out);
            }
        }
    )*};
}

newtypes! { Price OrderReference MatchNumber }

/// Text of fixed width, padded as the sender padded it.
impl<const N: usize> Field for [u8; N] {
    const WIDTH: usize = N;

    #[inline(always)]
    fn read(bytes: &[u8]) -> Self {
        let mut value = [0; N];
        value.copy_from_slice(bytes);
        value
    }

    #[inline(always)]
    fn write(self, out: &mut [u8]) {
        out.copy_from_slice(&self);
    }
}
