#!/usr/bin/env bash
# Looks for inputs that the product can't stand.
#   ./scripts/fuzz.sh [TARGET] [SECONDS]   each target, for 600 s
#   ./scripts/fuzz.sh TARGET FILE          one input, such as one in tests/fuzz/artifacts
#   ./scripts/fuzz.sh min [TARGET]         makes of tests/fuzz/corpus, and of what was found, the fewest inputs that reach all
# Any Rust will do, with a C++ compiler for libFuzzer's runtime. What is found stays in tests/fuzz/found between runs.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
targets=(backup bodies config filters headers manifest multipart)
fuzz=tests/fuzz
inputs_max=100
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}"
[ -f "$CARGO_TARGET_DIR/plugins/text/plugin.wasm" ] || die "there are no plugins: run ./scripts/build-plugins.sh"
[ -d "$CARGO_TARGET_DIR/models" ] || die "there are no weights: run target/debug/smartrag models fetch --to target/models"

# Thousands of stores are made and removed.
if [ -z "${TMPDIR:-}" ] && [ -w /dev/shm ]; then export TMPDIR=/dev/shm; fi

build() {
    command -v c++ >/dev/null || apt_install g++
    need_rust
    RUSTC_WRAPPER="$PWD/$fuzz/counters.sh" "$CARGO" build --quiet --locked --manifest-path "$fuzz/Cargo.toml"
}

# libFuzzer on a target, with the longest input that makes sense and the words of its format.
fuzzer() {
    local target=$1 length=2048
    shift
    case "$target" in
    backup | config | multipart) length=4096 ;;
    esac
    [ -d "$fuzz/corpus/$target" ] || die "there is no target $target: those are ${targets[*]}"
    mkdir -p "$fuzz/found/$target" "$fuzz/artifacts/$target"
    SMARTRAG_FUZZ_TARGET="$target" "$CARGO_TARGET_DIR/debug/smartrag-fuzz" "-max_len=$length" -timeout=10 \
        -rss_limit_mb=4096 "-dict=$fuzz/dict/$target.dict" "-artifact_prefix=$fuzz/artifacts/$target/" "$@"
}

stat() { sed -n "s/^stat::$1: *//p" "$2" | tail -n1; }

run_target() {
    local target=$1 seconds=$2 log status=0
    log=$(mktemp)
    fuzzer "$target" "$fuzz/found/$target" "$fuzz/corpus/$target" "-max_total_time=$seconds" -print_final_stats=1 \
        >"$log" 2>&1 || status=$?
    printf '%s: %s s, %s runs, %s, %s\n' "$target" "$seconds" "$(stat number_of_executed_units "$log")" \
        "$(grep -ao 'cov: [0-9]*' "$log" | tail -n1)" "$([ "$status" = 0 ] && echo 'nothing found' || echo FOUND)"
    if [ "$status" != 0 ]; then
        say "the end of what it said, all of which is in $log:"
        tail -n 40 "$log" >&2
        return 1
    fi
    rm -f "$log"
}

# Inputs that once showed a fault stay as they are. What reaches an edge more than a hundred others is not worth keeping.
minimise() {
    local target=$1 work inputs=() input
    work=$(mktemp -d)
    mkdir "$work/merged"
    fuzzer "$target" -merge=1 -set_cover_merge=1 -use_counters=0 "-merge_control_file=$work/control" "$work/merged" \
        "$fuzz/corpus/$target" "$fuzz/found/$target" >"$work/log" 2>&1 ||
        die "$target: the inputs could not be merged, see $work/log"
    mapfile -t inputs < <(python3 scripts/fuzz-fewest.py "$work/control" "$inputs_max")
    for input in "${inputs[@]}"; do cp "$input" "$work/$(sha1sum <"$input" | cut -c1-16)"; done
    find "$fuzz/corpus/$target" -type f ! -name 'regression-*' -delete
    find "$work" -maxdepth 1 -type f ! -name control ! -name log -exec cp -t "$fuzz/corpus/$target" {} +
    rm -r "$work"
    say "$target: $(find "$fuzz/corpus/$target" -type f | wc -l) inputs, $(du -sh --apparent-size "$fuzz/corpus/$target" | cut -f1)"
}

build
if [ "${1:-}" = min ]; then
    command -v python3 >/dev/null || apt_install python3
    for target in ${2:-"${targets[@]}"}; do minimise "$target"; done
elif [ -f "${2:-}" ]; then
    fuzzer "$1" "$2"
else
    failed=0
    for target in ${1:-"${targets[@]}"}; do run_target "$target" "${2:-600}" || failed=1; done
    exit "$failed"
fi
