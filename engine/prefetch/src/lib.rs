//! Asks the processor for a cache line before it is needed.
//!
//! A crate of its own, so that the crates that call it hold no unsafe code. What it does can be seen in time
//! only: it must never read, write, fault or wait.
#![no_std]
#![allow(unsafe_code)]

/// Asks for the line in which an element begins; beyond the end, for that of the last one, so that no branch
/// depends on `at`.
#[inline(always)]
pub fn prefetch<T>(elements: &[T], at: usize) {
    let last = elements.len().wrapping_sub(1);
    ask(elements.as_ptr().wrapping_add(at.min(last)));
}

/// Asks for the line in which a value begins.
#[inline(always)]
pub fn prefetch_line<T>(value: &T) {
    ask(value);
}

#[inline(always)]
fn ask<T>(address: *const T) {
    #[cfg(target_arch = "x86_64")]
    {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: part of every x86-64; it reads nothing, and no address makes it fault.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_place_is_a_fault() {
        let values = [1u64, 2, 3];
        for at in [0, 2, 3, usize::MAX] {
            prefetch(&values, at);
            prefetch::<u64>(&[], at);
        }
        prefetch_line(&());
        assert_eq!(values, [1, 2, 3]);
    }
}
