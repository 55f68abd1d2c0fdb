#!/usr/bin/env bash
# Looks for inputs that the product can't stand: ./scripts/fuzz.sh [TARGET] [SECONDS], by default each target for 600 s.
# Needs a nightly Rust and cargo-fuzz. What is found new is kept in tests/fuzz/found between runs; a crash stands in
# tests/fuzz/artifacts and comes back with `./scripts/fuzz.sh TARGET FILE`. With `./scripts/fuzz.sh min [TARGET]` the inputs
# in tests/fuzz/corpus become the fewest and smallest that reach all that is reached: commit them.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
targets=(backup bodies config filters headers manifest multipart)
toolchain="${FUZZ_TOOLCHAIN:-nightly}"
fuzz=tests/fuzz

rustup run "$toolchain" rustc --version >/dev/null 2>&1 ||
    die "fuzzing wants a nightly Rust: run 'rustup toolchain install nightly --profile minimal', or name one in FUZZ_TOOLCHAIN"
command -v cargo-fuzz >/dev/null || die "cargo-fuzz is missing: run 'cargo install --locked cargo-fuzz'"

# The daemon's own target directory has the plugins and the weights; packages with counters stand apart from the others.
built="${CARGO_TARGET_DIR:-$PWD/target}"
export SMARTRAG_PLUGINS_DIR="${SMARTRAG_PLUGINS_DIR:-$built/plugins}"
[ -f "$SMARTRAG_PLUGINS_DIR/text/plugin.wasm" ] || die "there are no plugins: run ./scripts/build-plugins.sh"
export CARGO_TARGET_DIR="${FUZZ_TARGET_DIR:-$built/fuzz}"
# Thousands of stores are made and removed.
if [ -z "${TMPDIR:-}" ] && [ -w /dev/shm ]; then export TMPDIR=/dev/shm; fi

# The longest input that makes sense, in bytes.
length_max() {
    case "$1" in
    backup | config | filters | multipart) echo 4096 ;;
    *) echo 2048 ;;
    esac
}

# No sanitizer: there is no unsafe code in what is fuzzed, and the counters alone cost less.
cargo_fuzz() {
    local command=$1 target=$2
    shift 2
    cargo "+$toolchain" fuzz "$command" --fuzz-dir "$fuzz" --sanitizer none "$target" "$@"
}

options() {
    printf '%s\n' "-max_len=$(length_max "$1")" -timeout=10 -rss_limit_mb=4096 "-dict=$fuzz/dict/$1.dict"
}

run_target() {
    local target=$1 seconds=$2 log status=0 crashes last
    mkdir -p "$fuzz/found/$target"
    log=$(mktemp)
    mapfile -t flags < <(options "$target")
    cargo_fuzz run "$target" "$fuzz/found/$target" "$fuzz/corpus/$target" -- "${flags[@]}" "-max_total_time=$seconds" \
        -print_final_stats=1 >"$log" 2>&1 || status=$?
    last=$(grep -a 'cov: ' "$log" | tail -n1)
    crashes=$(grep -ac 'Test unit written to' "$log" || true)
    printf '%s: %s s, %s runs, %s, %s crashes\n' "$target" "$seconds" \
        "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -n1)" \
        "$(grep -ao 'cov: [0-9]*' <<<"$last" || echo 'cov: ?')" "$crashes"
    if [ "$status" != 0 ]; then
        say "the end of what was said, all of which is in $log:"
        tail -n 40 "$log" >&2
        return 1
    fi
    rm -f "$log"
}

# What was found and what is kept, as few inputs as reach the same.
minimise() {
    local target=$1 whole
    whole=$(mktemp -d)
    mkdir -p "$fuzz/found/$target" "$whole/in" "$whole/out"
    find "$fuzz/corpus/$target" -type f ! -name 'regression-*' -exec cp -t "$whole/in" {} +
    mapfile -t flags < <(options "$target")
    cargo_fuzz run "$target" "$whole/out" "$whole/in" "$fuzz/found/$target" -- "${flags[@]}" -merge=1 >/dev/null 2>&1 ||
        die "$target: the inputs could not be merged"
    find "$fuzz/corpus/$target" -type f ! -name 'regression-*' -delete
    find "$whole/out" -type f -exec cp -t "$fuzz/corpus/$target" {} +
    rm -r "$whole"
    say "$target: $(find "$fuzz/corpus/$target" -type f | wc -l) inputs, $(du -sh --apparent-size "$fuzz/corpus/$target" | cut -f1)"
}

if [ "${1:-}" = min ]; then
    for target in ${2:-"${targets[@]}"}; do minimise "$target"; done
    exit
fi
if [ -f "${2:-}" ]; then
    cargo_fuzz run "$1" "$2"
    exit
fi
failed=0
for target in ${1:-"${targets[@]}"}; do
    [ -d "$fuzz/corpus/$target" ] || die "there is no target $target: those are ${targets[*]}"
    run_target "$target" "${2:-600}" || failed=1
done
exit "$failed"
