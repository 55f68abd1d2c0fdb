//! What each fuzz target does with an input, once: `tests/fuzz/src` calls it with what libFuzzer finds, `replay.rs` with
//! the inputs that are kept. Wrong answers are panics.

mod backup;
mod bodies;
mod config;
mod daemon;
mod filters;
mod headers;
mod manifest;
mod multipart;
pub(crate) mod naive;
#[cfg(test)]
mod replay;

/// A target: takes any bytes.
pub type Target = fn(&[u8]);

/// By name, which is also that of the directory of its inputs.
pub const TARGETS: [(&str, Target); 7] = [
    ("backup", backup::run),
    ("bodies", bodies::run),
    ("config", config::run),
    ("filters", filters::run),
    ("headers", headers::run),
    ("manifest", manifest::run),
    ("multipart", multipart::run),
];

/// Runs an input through the target of this name.
///
/// # Panics
/// If the product does with it what it must not do, or if there is no such target.
pub fn run(target: &str, input: &[u8]) {
    let (_, run) = TARGETS.iter().find(|(name, _)| *name == target).expect("a target of this name");
    run(input);
}

/// The parts before and behind the first `mark`; all of it and nothing where there is none.
fn split<'a>(input: &'a [u8], mark: &[u8]) -> (&'a [u8], &'a [u8]) {
    match input.windows(mark.len()).position(|window| window == mark) {
        Some(at) => (&input[..at], &input[at + mark.len()..]),
        None => (input, &[]),
    }
}
