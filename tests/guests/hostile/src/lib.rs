//! Misdeeds that every role can do. A text asks for one by a word such as `embedder!loop`.

use std::hint::black_box;

use smartrag_sdk::log;

/// The first misdeed that a text asks of a role, and what follows it.
pub fn misdeed<'a>(role: &str, text: &'a str) -> Option<(&'a str, Vec<&'a str>)> {
    let of_role = |word: &'a str| word.strip_prefix(role)?.strip_prefix('!');
    let mut words = text.split_whitespace();
    let misdeed = words.find_map(of_role)?;
    Some((misdeed, words.collect()))
}

/// Does it, if it is one that every role can do. Most do not come back.
pub fn commit(misdeed: &str) {
    match misdeed {
        "loop" => endless(),
        "memory" => hoard(),
        "recurse" => _ = black_box(deeper(black_box(1))),
        "recurse-frames" => _ = black_box(deeper_frames(black_box(1))),
        "panic" => panic!("as asked for"),
        "wild-pointer" => wild(),
        "log" => (0..20_000).for_each(|line| log::info(format_args!("line {line} of too many"))),
        "log-long" => log::info("x".repeat(1 << 20)),
        _ => {}
    }
}

fn endless() -> ! {
    let mut count = 0_u64;
    loop {
        count = black_box(count.wrapping_add(1));
    }
}

fn hoard() -> ! {
    let mut hoard: Vec<Vec<u8>> = Vec::new();
    loop {
        hoard.push(black_box(vec![1; 1 << 20]));
    }
}

/// Nothing of it stands in memory: the engine's own stack ends.
#[inline(never)]
#[allow(unconditional_recursion)]
fn deeper(depth: u64) -> u64 {
    // Two calls, so that no compiler makes a loop of it.
    deeper(depth ^ 1).rotate_left(7) ^ deeper(depth.wrapping_mul(3))
}

/// Each call has a frame in memory, where Rust keeps its own stack: that one ends first.
#[inline(never)]
#[allow(unconditional_recursion)]
fn deeper_frames(depth: u64) -> u64 {
    let frame = black_box([depth; 4096]);
    deeper_frames(frame[7].wrapping_add(1)).wrapping_add(frame[9])
}

fn wild() {
    let nowhere = black_box(0xffff_ff00_usize) as *const u32;
    // SAFETY: there is none, and that is the point: the address lies outside of every memory that a guest can have.
    black_box(unsafe { nowhere.read_volatile() });
}
