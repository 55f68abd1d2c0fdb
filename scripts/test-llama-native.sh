#!/usr/bin/env bash
# Everything that proves `llama-native`: ./scripts/test-llama-native.sh. With a small real model, in the real daemon, and
# beside llama.cpp's own server, whose speed it is measured against. SMARTRAG_BIN names a finished daemon, with its
# plugins in the directory above it; without it one is built.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
. scripts/llama-native.sh
target="${CARGO_TARGET_DIR:-$PWD/target}"

step "1/5 tools, a small model and a model server"
apt_install ca-certificates gcc libc6-dev curl
llama_native_tools
need_rust
./scripts/fetch-llm.sh
export LLAMA_NATIVE_GGUF="$target/llm/smollm2.gguf" LLAMA_NATIVE_LIB="$llama_native_lib"

step "2/5 format and clippy, warnings denied"
for tool in fmt clippy; do
    if ! "$CARGO" $tool --version >/dev/null 2>&1; then
        say "SKIPPED: this Rust has no $tool"
    elif [ $tool = fmt ]; then
        "$CARGO" fmt --manifest-path plugins/llama-native/Cargo.toml --check
    else
        llama_native_cargo clippy --all-targets -- -D warnings
    fi
done

step "3/5 the library"
llama_native_cargo build

step "4/5 tests"
if [ -z "${SMARTRAG_BIN:-}" ]; then
    need_wasm
    "$CARGO" build --locked
    export SMARTRAG_BIN="$target/debug/smartrag"
    ./scripts/build-plugins.sh
    fetch_models "$SMARTRAG_BIN"
fi
# One after the other: each takes all processors.
llama_native_cargo test --lib --test model --test daemon --test licences -- --test-threads=1

step "5/5 tokens a second, in turns with llama.cpp's server"
LLAMA_NATIVE_PYTHON="$target/llm/python/bin/python" llama_native_cargo test --test speed
