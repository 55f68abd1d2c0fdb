# Shared by the other scripts: brings what a fresh Debian or Ubuntu lacks, and nothing else. Sourced, not run.
# shellcheck shell=bash

rust_min=1.95

step() { printf '\n\033[1m== %s\033[0m\n' "$*" >&2; }
say() { printf '%s\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# Runs a command as root: as it is, or through sudo.
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo >/dev/null; then sudo "$@"
    else die "not root, and there is no sudo: run as root: $*"; fi
}

# Installs Debian packages that are missing; the list of packages is refreshed once.
apt_install() {
    local missing=()
    for package in "$@"; do
        dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
    done
    [ ${#missing[@]} = 0 ] && return 0
    command -v apt-get >/dev/null || die "please install ${missing[*]}: only Debian and Ubuntu are handled here"
    say "installing ${missing[*]}"
    [ -n "${apt_fresh:-}" ] || { as_root apt-get update -qq || die "apt-get update failed: check the network"; apt_fresh=1; }
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null ||
        die "apt-get could not install ${missing[*]}: see above"
}

# Whether version $1 is at least $2.
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n1)" = "$2" ]; }

rust_version() { "$1" --version 2>/dev/null | cut -d' ' -f2; }

# Sets CARGO: the cargo in PATH if it is new enough, else Debian's newer one, else rustup's.
need_rust() {
    local found
    found=$(rust_version rustc || true)
    if [ -n "$found" ] && at_least "$found" "$rust_min" && command -v cargo >/dev/null; then
        CARGO=cargo
        return
    fi
    [ -z "$found" ] || say "rustc $found is older than $rust_min"
    debian_rust && { CARGO=/usr/bin/cargo; export RUSTC=/usr/bin/rustc; return; }
    apt_install rustup
    rustup toolchain install stable --profile minimal --component clippy --component rustfmt >&2 ||
        die "no Rust $rust_min to be had: install it from rustup and run this again"
    export RUSTUP_TOOLCHAIN=stable
    CARGO=cargo
}

# Debian's Rust for its web browsers is newer than its Rust; it brings the sources of std, too.
debian_rust() {
    if ! at_least "$(rust_version /usr/bin/rustc || echo 0)" "$rust_min"; then
        command -v apt-cache >/dev/null || return 1
        apt-cache show rustc-web >/dev/null 2>&1 || { as_root apt-get update -qq; apt_fresh=1; }
        at_least "$(apt-cache policy rustc-web | sed -n 's/ *Candidate: //p')" "$rust_min" || return 1
    fi
    apt_install rustc-web cargo-web rust-web-src
}

# Std for WebAssembly: rustup's where it can be had, else Debian's sources of it.
need_wasm() {
    local target=wasm32-unknown-unknown
    [ -d "$(rustc --print sysroot 2>/dev/null)/lib/rustlib/$target" ] && return
    if command -v rustup >/dev/null && timeout 120 rustup target add "$target" >/dev/null 2>&1; then return; fi
    debian_rust || die "no way to build WebAssembly here: run 'rustup target add $target' where there is a network"
    # Debian's compiler comes without a linker for WebAssembly; rustup's has one.
    compgen -G "$(rustc --print sysroot)/lib/rustlib/*/bin/rust-lld" >/dev/null || need_wasm_linker
}

# The newest LLVM linker that Debian has.
need_wasm_linker() {
    local newest
    newest=$(apt-cache search --names-only '^lld-[0-9]+$' | cut -d' ' -f1 | sort -V | tail -n1)
    apt_install "${newest:-lld}"
}

# Build tools, Rust, WebAssembly and the embedder's weights.
need_everything() {
    apt_install ca-certificates gcc libc6-dev curl
    need_rust
    need_wasm
    say "$("$CARGO" --version)"
}

# The model files of the plugins that stand beside a finished binary $1, into the directory beside them.
fetch_models() {
    python3 -m pip --version >/dev/null 2>&1 || apt_install python3 python3-pip
    "$1" models fetch --to "$(dirname "$1")/../models" >&2
}
