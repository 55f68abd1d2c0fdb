#!/usr/bin/env bash
# Brings the weights of the default embedder: ./scripts/fetch-models.sh [DIR]
#
# DIR is ${CARGO_TARGET_DIR:-target}/models unless given; a daemon built in that tree looks there by itself.
# The files come out of the Python package `wordllama` (MIT), pinned by version and hash; nothing of it is run.
set -euo pipefail

version=0.4.0.post1
wheel_sha256=42c2c88907ace0b0681ac6f9092d6a300a6409a5d2d61071a3fb5e7159370c97
# name below DIR, path in the package, sha256
files="\
wordllama/l2_supercat_256.safetensors wordllama/weights/l2_supercat_256.safetensors 64b47a2dc493cb8e85944076601189739852d7b64e0e1eedcb1937a251cd9fd5
wordllama/l2_supercat_tokenizer_config.json wordllama/tokenizers/l2_supercat_tokenizer_config.json 93248f2a9ec36c7b35f700a033d5f36228aae48db61aee31007fa49062cdeb68"

case "${1:-}" in
-h | --help) sed -n '2,5s/^# \{0,1\}//p' "$0" && exit 0 ;;
-*) echo "fetch-models: unknown option $1; usage: $0 [DIR]" >&2 && exit 2 ;;
esac
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/scripts/lib.sh"
dir=${1:-${CARGO_TARGET_DIR:-$root/target}/models}

# Whether every file stands below directory $1 with its hash.
complete() {
    local name _path sha256
    while read -r name _path sha256; do
        echo "$sha256  $1/$name" | sha256sum --check --status 2>/dev/null || return 1
    done <<<"$files"
}

if complete "$dir"; then
    say "weights: already in $dir/wordllama"
    exit 0
fi
python3 -m pip --version >/dev/null 2>&1 || apt_install python3 python3-pip
mkdir -p "$dir" || die "can't write to $dir: name another directory, $0 DIR"
work=$(mktemp -d "$dir/.fetch.XXXXXX") || die "can't write to $dir: name another directory, $0 DIR"
trap 'rm -rf "$work"' EXIT

say "weights: downloading wordllama $version (19 MB)"
echo "wordllama==$version --hash=sha256:$wheel_sha256" >"$work/requirements.txt"
# One build of the package for every machine: it is unpacked, not run, and so has one hash.
python3 -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary=:all: \
    --implementation cp --python-version 3.11 --abi cp311 --platform manylinux2014_x86_64 \
    --dest "$work" --requirement "$work/requirements.txt" ||
    die "pip could not bring wordllama $version with the pinned hash (see above): check the network or pip's index setting"

mkdir "$work/wordllama"
while read -r name path _sha256; do
    python3 - "$work"/wordllama-*.whl "$path" >"$work/$name" <<'PYTHON' || die "the package does not hold $path"
import shutil, sys, zipfile
with zipfile.ZipFile(sys.argv[1]).open(sys.argv[2]) as member:
    shutil.copyfileobj(member, sys.stdout.buffer)
PYTHON
done <<<"$files"
complete "$work" || die "the unpacked files do not have the pinned hashes; nothing was installed"

# Each file appears whole or not at all.
mkdir -p "$dir/wordllama"
while read -r name _path _sha256; do
    chmod 644 "$work/$name"
    mv -f "$work/$name" "$dir/$name"
done <<<"$files"
say "weights: now in $dir/wordllama"
