#!/usr/bin/env bash
# Everything that proves the project: ./scripts/test.sh
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}"

step "1/8 tools"
need_everything
apt_install libfaketime # for a clock that goes backwards

step "2/8 what makes plugins of Python and JavaScript, a real model server, what tries the API out"
./scripts/fetch-guest-tools.sh
./scripts/fetch-llm.sh
./scripts/fetch-contract.sh

step "3/8 format"
if ! "$CARGO" fmt --version >/dev/null 2>&1; then
    case "$(command -v "$CARGO")" in
    /usr/bin/*) apt_install rustfmt-web ;;
    *) die "rustfmt is missing: run 'rustup component add rustfmt'" ;;
    esac
fi
"$CARGO" fmt --all --check

step "4/8 clippy, warnings denied"
if "$CARGO" clippy --version >/dev/null 2>&1; then
    "$CARGO" clippy --workspace --all-targets --locked -- -D warnings
else
    say "SKIPPED: this Rust has no clippy (Debian packages none for it); rustup's has"
fi

step "5/8 docs, warnings denied"
RUSTDOCFLAGS="-D warnings" "$CARGO" doc --workspace --no-deps --locked --quiet

step "6/8 the daemon, its plugins, the embedder's weights"
"$CARGO" build --locked
SMARTRAG_BIN="$CARGO_TARGET_DIR/debug/smartrag" ./scripts/build-plugins.sh
fetch_models "$CARGO_TARGET_DIR/debug/smartrag"

step "7/8 what operators install"
SMARTRAG_BIN="$CARGO_TARGET_DIR/debug/smartrag" ./scripts/test-deploy.sh

step "8/8 tests (licences and the shape of the code are among them)"
"$CARGO" test --workspace --locked --doc
if "$CARGO" nextest --version >/dev/null 2>&1; then
    "$CARGO" nextest run --workspace --locked --no-fail-fast
else
    "$CARGO" test --workspace --locked --no-fail-fast --lib --bins --tests
fi
