#!/usr/bin/env bash
# Makes the Debian package: ./scripts/build-deb.sh [--fast] [DIR]
#
# --fast packs less tightly. DIR is ${CARGO_TARGET_DIR:-target}/debian unless given. Builds the daemon, its plugins and
# whatever they need; with SMARTRAG_BIN set to a finished binary, that one is packaged, with the plugins and models of its
# target directory.
set -euo pipefail

fast=()
case "${1:-}" in
--fast) fast=(--fast) && shift ;;
-h | --help) sed -n '2,6s/^# \{0,1\}//p' "$0" && exit 0 ;;
-*) echo "build-deb: unknown option $1; usage: $0 [--fast] [DIR]" >&2 && exit 2 ;;
esac
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/scripts/lib.sh"
target=${CARGO_TARGET_DIR:-$root/target}
mkdir -p "${1:-$target/debian}"
out=$(cd "${1:-$target/debian}" && pwd)
if [ -n "${SMARTRAG_BIN:-}" ]; then
    bin=$(realpath "$SMARTRAG_BIN")
    target=$(realpath "$(dirname "$bin")/..")
fi
cd "$root"
export CARGO_TARGET_DIR="$target"

step "1/4 tools"
apt_install dpkg-dev fakeroot
need_rust
"$CARGO" deb --version >/dev/null 2>&1 || "$CARGO" install cargo-deb --version 3.8.0 --locked ||
    die "cargo-deb is missing and could not be installed: see above"

step "2/4 the daemon, its plugins, the embedder's weights"
if [ -z "${SMARTRAG_BIN:-}" ]; then
    need_everything
    "$CARGO" build --release --locked --bin smartrag
    bin="$target/release/smartrag"
    SMARTRAG_BIN="$bin" ./scripts/build-plugins.sh
    fetch_models "$bin"
fi

step "3/4 staging"
# A target directory of its own, so that nothing of another build gets into the package.
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
package="$stage/release/package"
mkdir -p "$package/completions"
strip -o "$stage/release/smartrag" "$bin"
cp -r "$target/plugins" "$target/models" "$package/"
gzip -9n <CHANGELOG.md >"$package/changelog.gz"
"$bin" man --out "$package/man"
gzip -9n "$package"/man/*
for shell in bash zsh fish; do "$bin" completions "$shell" >"$package/completions/smartrag.$shell"; done

step "4/4 packaging"
CARGO_TARGET_DIR="$stage" "$CARGO" deb --no-build --no-strip "${fast[@]}" --locked --output "$out/" >&2 ||
    die "cargo-deb failed: see above"
ls -1 "$out"/smartrag_*.deb
