#!/bin/bash
# The inner half of test-boot.sh: run as root by the system that it booted.
set -uo pipefail
exec >/test/out/log 2>&1
export DEBIAN_FRONTEND=noninteractive
step() { echo "-- $*"; }
die() {
    echo "FAILED: $*"
    journalctl -u smartrag -u smartrag-try --no-pager -o cat | tail -n 30
    exit 1
}
up() {
    for _ in $(seq 240); do
        curl -fsS -m 2 http://127.0.0.1:8765/health/ready >/dev/null 2>&1 && return
        ! systemctl is-failed --quiet smartrag || return 1
        sleep 0.5
    done
    return 1
}
answers() { smartrag query "How often are water samples taken, and where?" 2>/dev/null | grep -qF "six hours"; }

# Runs a shell command in the sandbox of smartrag.service.
inside() {
    local unit=/run/systemd/system/smartrag-try.service
    grep -vE '^(ExecStartPre|ExecStart|ExecReload|Restart|Type)' /lib/systemd/system/smartrag.service >"$unit"
    printf '[Service]\nType=oneshot\nExecStart=/bin/sh /run/try.sh\n' >>"$unit"
    echo "$1" >/run/try.sh
    systemctl daemon-reload
    systemctl reset-failed smartrag-try 2>/dev/null
    systemctl start smartrag-try 2>/dev/null
}
may() { inside "$1" || die "the sandbox should allow: $1"; }
may_not() { ! inside "$1" || die "the sandbox should not allow: $1"; }

step "install the package: the service starts and answers"
dpkg -i /test/in/smartrag.deb || die "dpkg"
up || die "the service does not come up"
smartrag upload /test/in/documents || die "upload"
answers || die "query"

step "restart with the compiled plugins of the first start"
systemctl restart smartrag
{ up && answers; } || die "a restart"
! journalctl -u smartrag -o cat | tail -n 20 | grep -q compiling || die "plugins were compiled again"

step "the sandbox"
for dir in /etc/smartrag /usr/lib/smartrag /var/lib /opt; do may_not "touch $dir/x"; done
for dir in /var/lib/smartrag /var/backups/smartrag /var/log/smartrag /tmp; do may "touch $dir/x && rm $dir/x"; done
may_not "ls /home"
may_not "ls /root"
may_not "unshare -U true"
may_not "ls /proc/1/"
may "nice -n 5 true"
ip addr add 192.168.77.1/32 dev lo
ip addr add 203.0.113.5/32 dev lo
# A port that is not open is refused at once, and nothing comes back from an address that is not allowed.
inside 'curl -s -m 2 http://192.168.77.1:9/; [ $? = 7 ]' || die "private networks should be reached"
inside 'curl -s -m 2 http://203.0.113.5:9/; [ $? = 28 ]' || die "public addresses should not be reached"

step "reload and a broken config"
pid=$(systemctl show -P MainPID smartrag)
cp /etc/smartrag/config.yaml /root/
echo "bakends: 1" >>/etc/smartrag/config.yaml
systemctl reload smartrag
sleep 3
{ systemctl is-active --quiet smartrag && answers; } || die "a broken config should leave the running daemon alone"
journalctl -u smartrag -o cat | grep -qF 'did you mean' || die "a broken config should be named"
cp /root/config.yaml /etc/smartrag/
[ "$pid" = "$(systemctl show -P MainPID smartrag)" ] || die "a reload should not restart"

step "kill -9"
kill -9 "$pid"
sleep 4
{ up && answers; } || die "the service should come back"
[ "$(systemctl show -P NRestarts smartrag)" = 1 ] || die "it was not restarted by systemd"

step "a start that fails is tried a few times, not for ever"
echo "bakends: 1" >>/etc/smartrag/config.yaml
systemctl restart smartrag 2>/dev/null
for _ in $(seq 60); do
    [ "$(systemctl show -P ActiveState smartrag)" != failed ] || break
    sleep 1
done
[ "$(systemctl show -P ActiveState smartrag)" = failed ] || die "it should have given up"
cp /root/config.yaml /etc/smartrag/
systemctl reset-failed smartrag
systemctl start smartrag
up || die "it should start again"

step "backup"
if smartrag backup create --help >/dev/null 2>&1; then
    systemctl start smartrag-backup || die "the backup unit: $(journalctl -u smartrag-backup -o cat | tail -n 5)"
    [ -n "$(ls -A /var/backups/smartrag)" ] || die "no backup was made"
else
    echo "SKIPPED: this daemon has no backup command"
fi

step "upgrade"
echo "# mine" >>/etc/smartrag/config.yaml
dpkg -i /test/in/smartrag.deb || die "dpkg"
{ up && answers; } || die "after an upgrade"
grep -qx "# mine" /etc/smartrag/config.yaml || die "an upgrade took the config"

step "stop drains"
systemctl stop smartrag
[ "$(systemctl show -P Result smartrag)" = success ] || die "a stop should succeed"

step "remove, install again, purge"
dpkg -r smartrag || die "dpkg"
[ -e /var/lib/smartrag/database/smartrag.redb ] || die "a removal took the data"
dpkg -i /test/in/smartrag.deb || die "dpkg"
{ up && answers; } || die "the data of before should be there"
dpkg -P smartrag || die "dpkg"
for path in /var/lib/smartrag /etc/smartrag /var/log/smartrag; do [ ! -e "$path" ] || die "a purge left $path"; done

step "install.sh"
/test/in/tree/deploy/install.sh || die "install.sh"
hash -r # another smartrag than before
up || die "the service does not come up"
smartrag upload /test/in/documents >/dev/null || die "upload"
answers || die "query"
/test/in/tree/deploy/install.sh --remove || die "install.sh --remove"
! systemctl is-active --quiet smartrag || die "a removal should stop the service"
[ -e /var/lib/smartrag/database/smartrag.redb ] || die "a removal took the data"
/test/in/tree/deploy/install.sh --remove --purge --yes || die "install.sh --purge"
[ ! -e /var/lib/smartrag ] || die "a purge left the data"

echo "all of it works"
