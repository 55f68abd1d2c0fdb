# Shared by the scripts of llama-native. Sourced behind lib.sh, not run.
# shellcheck shell=bash

llama_native_target="${CARGO_TARGET_DIR:-$PWD/target}/llama-native"
# shellcheck disable=SC2034 # for those who source this
llama_native_lib="$llama_native_target/release/libllama_native.so"

# What compiles llama.cpp, and what reads its headers.
llama_native_tools() {
    local missing=()
    command -v cmake >/dev/null || missing+=(cmake)
    command -v c++ >/dev/null || missing+=(g++)
    command -v make >/dev/null || command -v ninja >/dev/null || missing+=(make)
    { [ -n "${LIBCLANG_PATH:-}" ] || compgen -G "/usr/lib/llvm-*/lib/libclang*.so*" | grep -qv clang-cpp ||
        ldconfig -p 2>/dev/null | grep -q 'libclang[-.0-9]*so'; } || missing+=(libclang-dev)
    [ ${#missing[@]} = 0 ] && return
    say "llama-native is built with ${missing[*]} (Debian: apt install ${missing[*]})"
    apt_install "${missing[@]}"
}

# cargo on the crate, for this processor: llama.cpp takes its instructions from Rust's flags.
llama_native_cargo() {
    RUSTFLAGS="-C target-cpu=${LLAMA_NATIVE_CPU:-native}" CARGO_TARGET_DIR="$llama_native_target" \
        "$CARGO" "$1" --release --locked --manifest-path plugins/llama-native/Cargo.toml \
        --features "${LLAMA_NATIVE_FEATURES:-}" "${@:2}"
}
