#!/usr/bin/env bash
# Brings schemathesis, which drives the API by its OpenAPI document, into <target>/contract, where the tests look for it.
# Nothing else of the project needs it.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
dir="${CARGO_TARGET_DIR:-$PWD/target}/contract"

packages=(schemathesis==4.32.5 hypothesis==6.170.17)

mkdir -p "$dir"
if [ "$(cat "$dir/packages" 2>/dev/null)" != "${packages[*]}" ]; then
    apt_install python3 python3-venv
    say "fetching ${packages[*]}"
    rm -rf "$dir/python"
    python3 -m venv "$dir/python"
    "$dir/python/bin/pip" install --quiet --disable-pip-version-check --only-binary=:all: "${packages[@]}" ||
        die "pip could not install ${packages[*]}: see above"
    echo "${packages[*]}" >"$dir/packages"
fi
