#!/usr/bin/env bash
# Boots a small Debian and lives with the service in it: ./scripts/test-boot.sh
#
# Needs root, user namespaces and cgroups; minutes the first time, when debootstrap makes the system. Nothing of it
# touches this machine: the system runs in a container without a network, over a throw-away layer. SMARTRAG_BIN names the
# binary, by default the debug build.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
target=${CARGO_TARGET_DIR:-$PWD/target}
bin=$(realpath "${SMARTRAG_BIN:-$target/debug/smartrag}")
built=$(dirname "$(dirname "$bin")")
system="$target/deploy-root"
[ "$(id -u)" = 0 ] || die "run this as root"
apt_install systemd-container debootstrap

step "a small Debian"
if [ ! -e "$system/.complete" ]; then
    rm -rf "$system"
    debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,curl,iproute2,procps bookworm "$system" >"$target/debootstrap.log" ||
        die "debootstrap failed: see $target/debootstrap.log"
    mkdir -p "$system/test/in" "$system/test/out"
    touch "$system/.complete"
fi

step "the Debian package"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/in/tree/bin" "$work/out"
SMARTRAG_BIN="$bin" ./scripts/build-deb.sh --fast "$work/in" >/dev/null
mv "$work"/in/smartrag_*.deb "$work/in/smartrag.deb"
strip -o "$work/in/tree/bin/smartrag" "$bin"
cp -r "$built/plugins" "$built/models" deploy docs "$work/in/tree/"
cp -r examples/documents scripts/boot-inside.sh "$work/in/"

step "boot"
# With the right to load filters of addresses, as on a real machine.
SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 timeout 900 systemd-nspawn --quiet --directory="$system" --volatile=overlay \
    --register=no --keep-unit --private-network --capability=CAP_BPF,CAP_NET_ADMIN,CAP_PERFMON,CAP_SYS_RESOURCE \
    --system-call-filter=bpf --bind-ro="$work/in:/test/in" --bind="$work/out:/test/out" --boot \
    systemd.run=/test/in/boot-inside.sh systemd.run_success_action=exit systemd.run_failure_action=exit \
    </dev/null >"$work/console" 2>&1 || true
cat "$work/out/log" 2>/dev/null || { tail -n 30 "$work/console" >&2; die "the system did not boot: see above"; }
tail -n1 "$work/out/log" | grep -qx "all of it works" || die "something does not work with the real systemd: see above"
