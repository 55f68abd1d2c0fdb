#!/bin/sh
# Builds the plugins that we ship into target/plugins, where a development build of the daemon looks for them.
# SMARTRAG_BIN names a finished binary; without it one is built.
set -eu
cd "$(dirname "$0")/.."
target="${CARGO_TARGET_DIR:-target}"
bin="${SMARTRAG_BIN:-}"
if [ -z "$bin" ]; then
    cargo build --bin smartrag
    bin="$target/debug/smartrag"
fi
# Those without a plugin.toml are native and have scripts of their own.
set --
for manifest in plugins/*/plugin.toml; do set -- "$@" "${manifest%/plugin.toml}"; done
exec "$bin" plugin build "$@" --out "$target/plugins"
