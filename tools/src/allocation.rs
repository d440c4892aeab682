//! Counts heap allocations of the whole process, over all threads, so that "no allocation per order"
//! can be shown while serving, not only claimed.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

/// Tables of this size are worth huge pages: a start takes a fault for each page that it touches.
const HUGE_MIN: usize = 8 << 20;
const HUGE_PAGE: usize = 2 << 20;

/// Asks for huge pages within a large allocation; where the kernel has none, nothing changes.
fn prefer_huge_pages(pointer: *mut u8, size: usize) {
    let skip = pointer.align_offset(HUGE_PAGE);
    if pointer.is_null() || size < HUGE_MIN + skip {
        return;
    }
    let length = (size - skip) / HUGE_PAGE * HUGE_PAGE;
    // SAFETY: whole pages within an allocation of `size` bytes that nobody uses yet; the advice changes no byte.
    unsafe {
        libc::madvise(
            pointer.wrapping_add(skip).cast(),
            length,
            libc::MADV_HUGEPAGE,
        );
    }
}

// SAFETY: every call goes to the system allocator unchanged; counting and advice touch no allocation's bytes.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps GlobalAlloc's contract, which is System's.
        let pointer = unsafe { System.alloc(layout) };
        prefer_huge_pages(pointer, layout.size());
        pointer
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from System with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as for `alloc`.
        let pointer = unsafe { System.alloc_zeroed(layout) };
        prefer_huge_pages(pointer, layout.size());
        pointer
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as for `alloc` and `dealloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations (reallocations included) since the process began.
pub fn count() -> u64 {
    ALLOCATIONS.load(Ordering::Relaxed)
}
