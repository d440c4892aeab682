//! The binary's allocator: counts heap allocations of the whole process, over all threads, so that "no
//! allocation per order" can be shown while serving, not only claimed; and lays large tables in huge pages.
//!
//! A table that is larger than the translation buffer reaches costs a walk through the kernel's page tables
//! for most lines of it that are touched. So what is large and will be written at once lies next to its like
//! in mappings of whole huge pages, which are asked for; where the kernel has none, pages are of the usual
//! size and nothing else changes. What is to be zeroed (it may never be touched) and all else is the system
//! allocator's.
#![allow(unsafe_code)]

mod spaces;

use spaces::{HUGE_PAGE, PAGE, Spaces, Span, block_length, mapping_length};
use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static SPACES: Mutex<Spaces> = Mutex::new(Spaces::new());

/// Blocks from this size on lie in huge pages; smaller ones are many, and short-lived.
const LARGE_MIN: usize = 128 << 10;
/// Zeroed blocks of this size are worth huge pages: a start takes a fault for each page that it touches.
const ZEROED_MIN: usize = 8 << 20;

/// Blocks begin at another cache line of their first page each: tables that began alike would have the lines
/// of one number in one set of the first-level cache.
const LINE: usize = 64;
const BEGINS: usize = PAGE / LINE;

fn spaces() -> MutexGuard<'static, Spaces> {
    SPACES.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_large(layout: Layout) -> bool {
    layout.size() >= LARGE_MIN && layout.align() <= LINE
}

/// Asks for huge pages where whole ones lie in `span`; without any, nothing changes.
fn prefer_huge_pages(span: Span) {
    let begin = span.begin.next_multiple_of(HUGE_PAGE);
    if span.end < begin + HUGE_PAGE {
        return;
    }
    let length = (span.end - begin) / HUGE_PAGE * HUGE_PAGE;
    let begin = ptr::with_exposed_provenance_mut(begin);
    // SAFETY: whole pages of memory that is ours; the advice changes no byte.
    unsafe { libc::madvise(begin, length, libc::MADV_HUGEPAGE) };
}

/// New memory of whole huge pages, `length` of them in bytes; `None` if the kernel gives none.
fn map(length: usize) -> Option<Span> {
    let mapped = length.checked_add(HUGE_PAGE)?;
    let (access, kind) = (
        libc::PROT_READ | libc::PROT_WRITE,
        libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
    );
    // SAFETY: new memory wherever the kernel likes; none that is there changes.
    let pointer = unsafe { libc::mmap(ptr::null_mut(), mapped, access, kind, -1, 0) };
    if pointer == libc::MAP_FAILED {
        return None;
    }
    let first = pointer.expose_provenance();
    let begin = first.next_multiple_of(HUGE_PAGE);
    let span = Span {
        begin,
        end: begin + length,
    };
    unmap(Span {
        begin: first,
        end: begin,
    });
    unmap(Span {
        begin: span.end,
        end: first + mapped,
    });
    prefer_huge_pages(span);
    Some(span)
}

/// Gives whole pages back that nobody uses any more.
fn unmap(span: Span) {
    if span.length() != 0 {
        // SAFETY: pages of a mapping of `map` that hold no block.
        unsafe { libc::munmap(ptr::with_exposed_provenance_mut(span.begin), span.length()) };
    }
}

/// A large block, or null: then it is for the system allocator to say no.
fn take(size: usize) -> *mut u8 {
    let mut spaces = spaces();
    let begin = size
        .checked_add(PAGE)
        .and_then(block_length)
        .and_then(|length| {
            if !spaces.has_room() {
                return None;
            }
            if let Some(begin) = spaces.take(length) {
                return Some(begin);
            }
            spaces.add(map(mapping_length(length)?)?);
            spaces.take(length)
        });
    // Odd, so that all lines come before one comes again.
    let line = spaces.blocks().wrapping_mul(23) % BEGINS;
    begin.map_or(ptr::null_mut(), |begin| {
        ptr::with_exposed_provenance_mut(begin + line * LINE)
    })
}

/// Whether a block of this layout is one of ours and not the system allocator's.
fn is_ours(pointer: *mut u8, layout: Layout) -> bool {
    is_large(layout) && spaces().holds(pointer.addr())
}

/// Takes a block of ours back.
fn put(pointer: *mut u8, size: usize) {
    let begin = pointer.addr() / PAGE * PAGE;
    let length = block_length(size + PAGE).unwrap_or(0);
    let emptied = spaces().put(begin, length);
    if let Some(mapping) = emptied {
        unmap(mapping);
    }
}

// SAFETY: small blocks, zeroed ones and those of odd alignment go to the system allocator unchanged. A large
// block is aligned to a cache line, at least as long as asked for, and overlaps no other until it is given back.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        if is_large(layout) {
            let pointer = take(layout.size());
            if !pointer.is_null() {
                return pointer;
            }
        }
        // SAFETY: the caller keeps GlobalAlloc's contract, which is System's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if is_ours(pointer, layout) {
            return put(pointer, layout.size());
        }
        // SAFETY: `pointer` came from System with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as for `alloc`.
        let pointer = unsafe { System.alloc_zeroed(layout) };
        if layout.size() >= ZEROED_MIN && !pointer.is_null() {
            let begin = pointer.expose_provenance();
            prefer_huge_pages(Span {
                begin,
                end: begin + layout.size(),
            });
        }
        pointer
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let ours = is_ours(pointer, layout);
        if ours
            && size.checked_add(PAGE).and_then(block_length) == block_length(layout.size() + PAGE)
            && size >= LARGE_MIN
        {
            ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
            return pointer;
        }
        let grows_large = layout.size() < LARGE_MIN && size >= LARGE_MIN;
        if !ours && !grows_large {
            ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
            // SAFETY: as for `alloc` and `dealloc`.
            return unsafe { System.realloc(pointer, layout, size) };
        }
        // SAFETY: `layout` is valid and the caller says that `size` is, not 0 and not too large for its alignment.
        let new = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        // SAFETY: as for the caller's own calls of these.
        let moved = unsafe { self.alloc(new) };
        if !moved.is_null() {
            // SAFETY: two blocks, each at least so long.
            unsafe { ptr::copy_nonoverlapping(pointer, moved, layout.size().min(size)) };
            // SAFETY: the caller gives the old block up.
            unsafe { self.dealloc(pointer, layout) };
        }
        moved
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations (reallocations included) since the process began.
pub fn count() -> u64 {
    ALLOCATIONS.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_in_spaces<T>(table: &[T]) -> bool {
        spaces().holds(table.as_ptr().addr())
    }

    /// What the kernel says of the mapping in which an address lies.
    fn smaps(address: usize, field: &str) -> u64 {
        let text = std::fs::read_to_string("/proc/self/smaps").expect("smaps");
        let mut inside = false;
        for line in text.lines() {
            let range = line
                .split(' ')
                .next()
                .and_then(|range| range.split_once('-'));
            let ends = range.map(|(from, to)| [from, to].map(|n| usize::from_str_radix(n, 16)));
            if let Some([Ok(from), Ok(to)]) = ends {
                inside = (from..to).contains(&address);
            } else if inside && let Some(rest) = line.strip_prefix(field) {
                let digits = rest.trim_matches(|c: char| !c.is_ascii_digit());
                return digits.parse().expect("a number");
            }
        }
        0
    }

    /// Once tables below 8 MiB, and the ends of larger ones, lay in pages of 4 KiB: a venue of 10,000 orders
    /// had no huge page at all, and each line of a million orders cost a walk of the page tables more.
    #[test]
    fn large_tables_lie_in_huge_pages() {
        let enabled = "/sys/kernel/mm/transparent_hugepage/enabled";
        let mode = std::fs::read_to_string(enabled).unwrap_or_default();
        let table: Vec<u64> = (0..1 << 20).collect();
        assert!(is_in_spaces(&table));
        if mode.is_empty() || mode.contains("[never]") {
            println!("SKIP the kernel has no transparent huge pages: {mode:?}");
            return;
        }
        // Which pages the kernel finds is its own affair, but it was asked.
        assert_eq!(smaps(table.as_ptr().addr(), "THPeligible:"), 1);
    }

    /// Tables that all began with a page had their lines of one number in one set of the first-level cache.
    #[test]
    fn blocks_begin_at_lines_of_their_own() {
        let tables: Vec<Vec<u8>> = (0..8).map(|_| Vec::with_capacity(1 << 20)).collect();
        let begins: std::collections::BTreeSet<usize> = tables
            .iter()
            .map(|table| table.as_ptr().addr() % PAGE)
            .collect();
        assert!(begins.len() > 4, "{begins:?}");
        assert!(begins.iter().all(|begin| begin.is_multiple_of(LINE)));
    }

    /// A buffer that grows piece by piece crosses from the system's memory to ours and on.
    #[test]
    fn a_block_keeps_its_bytes_when_it_grows_and_shrinks() {
        let mut bytes: Vec<u8> = Vec::new();
        for at in 0..5_000_000_usize {
            bytes.push((at % 251) as u8);
        }
        assert!(is_in_spaces(&bytes));
        for length in [3_000_000, 131_072, 131_071, 4_096, 10] {
            bytes.truncate(length);
            bytes.shrink_to_fit();
            let right = |(at, &byte): (usize, &u8)| byte == (at % 251) as u8;
            assert!(bytes.iter().enumerate().all(right), "at {length}");
        }
        assert!(!is_in_spaces(&bytes));
    }

    /// Zeroed memory that nobody touches takes none, whatever lay in the blocks before.
    #[test]
    fn zeroed_blocks_are_the_systems() {
        for _ in 0..3 {
            let dirty: Vec<u8> = (0..1 << 20).map(|at: usize| at as u8 | 1).collect();
            drop(dirty);
            let zeroed = vec![0u8; 1 << 20];
            assert!(!is_in_spaces(&zeroed));
            assert!(zeroed.iter().all(|&byte| byte == 0));
        }
    }

    /// Exports and recovery read into large buffers over and over: that must not add up.
    #[test]
    fn buffers_that_come_and_go_take_no_more_memory() {
        let length = |mib: usize| mib << 20;
        for round in 0..200 {
            let buffer: Vec<u8> = (0..length(1 + round % 7)).map(|at| at as u8).collect();
            std::hint::black_box(&buffer);
        }
        // 800 MiB came and went. Other tests take large blocks beside this one.
        let status = std::fs::read_to_string("/proc/self/status").expect("status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let digits = line
            .unwrap_or_default()
            .trim_matches(|c: char| !c.is_ascii_digit());
        let resident_kib: u64 = digits.parse().expect("a number");
        assert!(resident_kib < 600 << 10, "{resident_kib} KiB");
    }

    #[test]
    fn alignment_beyond_a_line_is_the_systems() {
        let layout = Layout::from_size_align(1 << 20, 1 << 16).expect("a layout");
        // SAFETY: the layout has a size; the block is given back as it was taken.
        unsafe {
            let pointer = std::alloc::alloc(layout);
            assert!(!pointer.is_null() && pointer.addr().is_multiple_of(1 << 16));
            assert!(!spaces().holds(pointer.addr()));
            std::alloc::dealloc(pointer, layout);
        }
    }
}
