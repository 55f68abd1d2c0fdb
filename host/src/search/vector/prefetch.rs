//! Asks for memory before it is needed: the walk through a graph waits for memory more than for anything else.
#![allow(unsafe_code)]

/// Bytes that come together.
pub const LINE: usize = 64;

/// Hints that `slice[at]` is read soon. Does nothing beyond the end, or on processors that we know no hint for.
#[inline(always)]
pub fn prefetch<T>(slice: &[T], at: usize) {
    #[cfg(target_arch = "x86_64")]
    if let Some(wanted) = slice.get(at) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: the hint reads nothing and never faults; the address is that of a live element besides.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(wanted).cast()) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (slice, at);
}
