//! libFuzzer's entry: throws inputs at the target that `SMARTRAG_FUZZ_TARGET` names; see `scripts/fuzz.sh`.
#![no_main]

use std::sync::LazyLock;

static TARGET: LazyLock<String> =
    LazyLock::new(|| std::env::var("SMARTRAG_FUZZ_TARGET").expect("SMARTRAG_FUZZ_TARGET names a target"));

// What takes its time at the first input is done before libFuzzer looks at the clock.
libfuzzer_sys::fuzz_target!(
    init: [b"a", b"A"].into_iter().for_each(|input| smartrag::fuzz::run(&TARGET, input)),
    |input: &[u8]| smartrag::fuzz::run(&TARGET, input)
);
