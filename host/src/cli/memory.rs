//! Settings of glibc's allocator, which is Rust's. Left to itself it learns from the first large block that it gets back to
//! keep such blocks, and to clear them for the next who wants zeros: tantivy asks for several megabytes of zeros for each
//! commit and uses a few pages of them. And it has eight heaps a processor, each with its own leftovers.
#![allow(unsafe_code)]

/// Blocks from this size on come from the system, which has zeros at no cost, and go back to it. Just below the
/// mebibyte that tantivy's arenas take at a time.
const FROM_SYSTEM: i32 = 1_000_000;
/// What a heap keeps at its end for later.
const KEPT: i32 = 16 << 20;

/// Puts the settings in force; false if one was refused: then more memory is used, no harm. Call it before there are
/// threads.
pub fn tune() -> bool {
    let heaps = std::thread::available_parallelism().map_or(1, usize::from).max(2);
    let settings = [
        (libc::M_MMAP_THRESHOLD, FROM_SYSTEM),
        (libc::M_TRIM_THRESHOLD, KEPT),
        (libc::M_ARENA_MAX, i32::try_from(heaps).unwrap_or(i32::MAX)),
    ];
    // SAFETY: takes two numbers, and refuses those that it does not know.
    let set = |(name, value)| unsafe { libc::mallopt(name, value) } == 1;
    settings.map(set) == [true; 3]
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_allocator_knows_the_settings() {
        assert!(super::tune());
    }
}
