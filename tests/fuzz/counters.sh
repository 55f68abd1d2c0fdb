#!/bin/sh
# A wrapper of rustc (RUSTC_WRAPPER): has libFuzzer's counters in the daemon's library and in the readers of foreign
# formats. Cargo.toml gives those packages a profile of their own, so none of them is mixed up with one without counters.
set -u
counters="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table
-Cllvm-args=-sanitizer-coverage-trace-compares -Coverflow-checks=on -Cdebug-assertions=on"
name=
previous=
for word in "$@"; do
    [ "$previous" = --crate-name ] && name=$word
    previous=$word
done
case "$name" in
granit_parser | multer | serde_saphyr | smartrag | toml | toml_parser)
    # shellcheck disable=SC2086
    exec "$@" $counters
    ;;
*) exec "$@" ;;
esac
