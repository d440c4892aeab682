//! The processor's prefetch instruction, which the core cannot name itself.
#![allow(unsafe_code)]

use lockstep_core::Prefetch;

/// Into all levels of cache; nothing where there is no such instruction.
#[derive(Clone, Copy, Debug)]
pub struct CachePrefetch;

impl Prefetch for CachePrefetch {
    #[inline(always)]
    fn prefetch<T>(value: &T) {
        let address = std::ptr::from_ref(value).cast::<i8>();
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            // SAFETY: a hint. It reads nothing for the program and cannot fault, whatever the address is; every
            // x86-64 has it.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(address) };
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = address;
    }
}
