#!/bin/sh
# Installs SmartRAG as a service: ./install.sh [options]
#
#   --prefix DIR   where programs go [/usr/local]
#   --from DIR     an unpacked release, or the target directory of a build [the tree that this script is in]
#   --root DIR     install into this directory as if it were /; nothing is started
#   --no-start     do not enable and start the service
#   --force        go on although the machine is too small
#   --dry-run      say what would be done, and do nothing
#   --remove       remove the programs and the service; data, config and backups stay
#   --purge        with --remove: remove data, logs and config as well; backups stay
#   --yes          do not ask
#
# Run it again to upgrade. An existing config is never overwritten. On Debian and Ubuntu use the package instead.
set -eu
umask 022

prefix=/usr/local root='' from='' start=1 force='' dry='' remove='' purge='' yes=''
here=$(cd "$(dirname "$0")" && pwd)
top=$(dirname "$here")
meminfo=${SMARTRAG_MEMINFO:-/proc/meminfo} # for tests

say() { printf '%s\n' "$*"; }
warn() { printf 'warning: %s\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }
usage() { sed -n '2,15s/^# \{0,1\}//p' "$0"; }

while [ $# -gt 0 ]; do
    case "$1" in
    --prefix | --root | --from)
        [ $# -ge 2 ] || { say "$1 needs a directory" >&2; exit 2; }
        case "$1" in --prefix) prefix=$2 ;; --root) root=$2 ;; --from) from=$2 ;; esac
        shift
        ;;
    --no-start) start='' ;;
    --force) force=1 ;;
    --dry-run) dry=1 ;;
    --remove) remove=1 ;;
    --purge) purge=1 ;;
    --yes) yes=1 ;;
    -h | --help) usage; exit 0 ;;
    *) say "unknown option $1" >&2; usage >&2; exit 2 ;;
    esac
    shift
done
[ -z "$purge" ] || [ -n "$remove" ] || { say "--purge goes with --remove" >&2; exit 2; }
case "$prefix" in /*) ;; *) say "--prefix must be absolute" >&2; exit 2 ;; esac
case "$prefix" in *[!A-Za-z0-9/._-]*) say "--prefix may hold letters, digits and /._- only" >&2; exit 2 ;; esac
prefix=${prefix%/} root=${root%/}
etc=$root/etc/smartrag
list=$prefix/lib/smartrag/installed # every file of ours, one a line, without the root

# Whether this is about the running system.
live() { [ -z "$root" ]; }
has_systemd() { live && [ -d /run/systemd/system ]; }

# What was done so far, for when something fails.
done_so_far=''
note() { done_so_far="$done_so_far  $*
"; }
work=$(mktemp -d)
new_list=$work/new_list
: >"$new_list"
finish() {
    code=$?
    if [ "$code" != 0 ] && [ -z "$dry" ] && { [ -s "$new_list" ] || [ -n "$done_so_far" ]; }; then
        # So that what is half there can be removed.
        [ ! -s "$new_list" ] || save_list "$root$list" || true
        printf 'It failed half-way. Done so far:\n%s' "${done_so_far:-  some of the files
}" >&2
        say "Solve what the error says and run this again, or take it back with --remove and the same options" >&2
    fi
    rm -rf "$work"
    exit "$code"
}
trap finish EXIT

# save_list [OLD]: what was put now, and what stands in OLD.
save_list() {
    mkdir -p "$root$(dirname "$list")"
    { say "$list"; cat "$new_list" ${1:+"$1"} 2>/dev/null || true; } | sort -u >"$work/list"
    cp "$work/list" "$root$list"
}

# Runs a command, or says what it would be.
run() {
    if [ -n "$dry" ]; then say "would: $*"; else "$@"; fi
}

# put MODE SOURCE FILE: the file appears whole or not at all, even where the old one is running.
put() {
    say "$3" >>"$new_list"
    if [ -n "$dry" ]; then say "would: install $2 as $root$3"; return; fi
    mkdir -p "$root$(dirname "$3")"
    cp "$2" "$root$3.new"
    chmod "$1" "$root$3.new"
    mv -f "$root$3.new" "$root$3"
}

find_source() {
    for tree in ${from:+"$from"} "$top" "${CARGO_TARGET_DIR:-$top/target}"; do
        for bin in "$tree/bin/smartrag" "$tree/release/smartrag" "$tree/debug/smartrag"; do
            [ -x "$bin" ] || continue
            [ -f "$tree/plugins/text/plugin.wasm" ] ||
                die "$bin is there, but $tree/plugins has no plugins: build them with ./scripts/build-plugins.sh"
            [ -d "$tree/models/wordllama" ] ||
                die "$bin is there, but $tree/models has no weights: '$bin models fetch --to $tree/models' brings them"
            return
        done
        [ -z "$from" ] || die "no smartrag in $from: name an unpacked release or the target directory of a build"
    done
    die "no smartrag here: build it with 'cargo build --release' and ./scripts/build-plugins.sh, or name a tree with --from"
}

# too_small MESSAGE: refuses, unless forced.
too_small() {
    [ -n "$force" ] || die "$1; --force installs all the same"
    warn "$1"
}

check_machine() {
    [ "$(uname -s)" = Linux ] || die "SmartRAG runs on Linux"
    case "$(uname -m)" in
    x86_64 | aarch64) ;;
    *) warn "SmartRAG was tried on x86_64 only, this is $(uname -m)" ;;
    esac
    getconf GNU_LIBC_VERSION >/dev/null 2>&1 || die "the GNU C library is needed, and this system has another"
    # This finds a wrong architecture and a C library that is too old.
    "$bin" --version >/dev/null ||
        die "$bin does not run on this $(uname -m) with $(getconf GNU_LIBC_VERSION): build it here with 'cargo build --release'"
    memory=$(awk '/^MemTotal:/ { print int($2 / 1024) }' "$meminfo")
    if [ "${memory:-0}" -lt 900 ]; then too_small "this machine has $memory MiB of memory and SmartRAG needs 1 GiB"
    elif [ "$memory" -lt 1900 ]; then warn "this machine has $memory MiB of memory: 2 GiB or more are better"; fi
    for dir in "$prefix" /var/lib; do
        where=$root$dir
        while [ ! -d "$where" ]; do where=$(dirname "$where"); done
        free=$(df -Pk "$where" | awk 'NR == 2 { print int($4 / 1024) }')
        if [ "$free" -lt 500 ]; then too_small "$where has $free MiB free and SmartRAG needs 500"
        elif [ "$free" -lt 2000 ]; then warn "$where has $free MiB free: documents and their indexes need more"; fi
    done
    live || return 0
    [ "$(id -u)" = 0 ] || [ -n "$dry" ] || die "run this as root: sudo $0"
    if dpkg-query -W -f '${db:Status-Status}' smartrag 2>/dev/null | grep -qx installed; then
        die "the Debian package smartrag is installed: upgrade that, or remove it first with 'apt remove smartrag'"
    fi
    has_systemd || warn "systemd does not run here: the files are installed, and starting $prefix/bin/smartrag is up to you"
}

put_files() {
    put 755 "$bin" "$prefix/bin/smartrag"
    say "$prefix/bin/smartrag-cli" >>"$new_list"
    run ln -sfn smartrag "$root$prefix/bin/smartrag-cli"
    (cd "$tree" && find plugins models -type f | sort) >"$work/files"
    while read -r file; do
        case "$file" in
        plugins/*) put 644 "$tree/$file" "$prefix/lib/smartrag/$file" ;;
        models/*) put 644 "$tree/$file" "$prefix/share/smartrag/$file" ;;
        esac
    done <"$work/files"
    put 644 "$here/config.yaml" "$prefix/share/smartrag/config.yaml"
    put 644 "$here/grafana/smartrag.json" "$prefix/share/smartrag/grafana/smartrag.json"
    for doc in "$top"/docs/*.md; do put 644 "$doc" "$prefix/share/doc/smartrag/${doc##*/}"; done
    for shell in bash zsh fish; do "$bin" completions "$shell" >"$work/$shell"; done
    put 644 "$work/bash" "$prefix/share/bash-completion/completions/smartrag"
    put 644 "$work/zsh" "$prefix/share/zsh/site-functions/_smartrag"
    put 644 "$work/fish" "$prefix/share/fish/vendor_completions.d/smartrag.fish"
    note "programs, plugins and models in $root$prefix"
}

put_service() {
    for unit in smartrag.service smartrag-backup.service smartrag-backup.timer; do
        sed "s|/usr/bin/smartrag|$prefix/bin/smartrag|; s|/usr/share/doc|$prefix/share/doc|" "$here/systemd/$unit" >"$work/$unit"
        put 644 "$work/$unit" "/etc/systemd/system/$unit"
    done
    put 644 "$here/systemd/sysusers.d/smartrag.conf" /etc/sysusers.d/smartrag.conf
    put 644 "$here/systemd/tmpfiles.d/smartrag.conf" /etc/tmpfiles.d/smartrag.conf
    note "units in $root/etc/systemd/system"
    if command -v systemd-sysusers >/dev/null; then
        run systemd-sysusers --root="$root/" smartrag.conf
    elif live && ! id smartrag >/dev/null 2>&1; then
        run useradd --system --user-group --home-dir /var/lib/smartrag --shell /usr/sbin/nologin smartrag
    fi
    note "the user smartrag"
    if command -v systemd-tmpfiles >/dev/null; then
        run systemd-tmpfiles --create --root="$root/" smartrag.conf
    elif live; then
        run install -d -m 700 -o smartrag -g smartrag /var/lib/smartrag /var/backups/smartrag
        run install -d -m 750 -o smartrag -g smartrag /var/log/smartrag
    fi
    note "/var/lib/smartrag, /var/backups/smartrag, /var/log/smartrag"
}

put_config() {
    if [ -e "$etc/config.yaml" ]; then
        say "$etc/config.yaml is kept as it is; the present default is $root$prefix/share/smartrag/config.yaml"
        return
    fi
    run mkdir -p "$etc"
    run cp "$here/config.yaml" "$etc/config.yaml"
    note "$etc/config.yaml"
}

# What an older version had and this one has not.
drop_old_files() {
    [ -f "$root$list" ] || return 0
    sort "$new_list" >"$work/new" && sort "$root$list" >"$work/old"
    comm -13 "$work/new" "$work/old" >"$work/gone"
    while read -r file; do [ "$file" = "$list" ] || drop "$file"; done <"$work/gone"
}

# drop FILE: with those of our directories that it leaves empty.
drop() {
    run rm -f "$root$1"
    dir=$(dirname "$1")
    while [ -z "$dry" ]; do
        case "$dir" in */smartrag | */smartrag/*) rmdir "$root$dir" 2>/dev/null || return 0 ;; *) return 0 ;; esac
        dir=$(dirname "$dir")
    done
}

start_service() {
    has_systemd || return 0
    run systemctl daemon-reload
    if [ -z "$start" ]; then
        say "start it with: systemctl enable --now smartrag"
        return
    fi
    run systemctl enable --quiet smartrag
    note "the service is enabled"
    say "starting; the first start compiles the plugins and takes a few seconds"
    run systemctl restart smartrag || die "the service did not start: see 'journalctl -u smartrag'"
}

install_all() {
    find_source
    check_machine
    say "installing $("$bin" --version) from $tree to $root$prefix"
    put_files
    put_service
    put_config
    drop_old_files
    [ -n "$dry" ] || save_list
    start_service
    [ -z "$dry" ] || { say "nothing was done"; return 0; }
    say "installed: config $etc/config.yaml, data $root/var/lib/smartrag, log 'journalctl -u smartrag'"
    say "remove it with: $0 --remove$(same_place)"
}

# The options that name the place of this installation.
same_place() {
    [ "$prefix" = /usr/local ] || printf ' --prefix %s' "$prefix"
    [ -z "$root" ] || printf ' --root %s' "$root"
}

# confirm QUESTION
confirm() {
    [ -z "$yes" ] && [ -z "$dry" ] || return 0
    [ -t 0 ] || die "$1 Say --yes to confirm"
    printf '%s [y/N] ' "$1"
    read -r answer
    case "$answer" in y | Y | yes) ;; *) say "nothing was removed"; exit 0 ;; esac
}

remove_all() {
    ! live || [ "$(id -u)" = 0 ] || [ -n "$dry" ] || die "run this as root: sudo $0 --remove"
    [ -z "$purge" ] || confirm "This removes all documents, logs and the config, too."
    if [ -f "$root$list" ]; then
        if has_systemd; then
            run systemctl disable --quiet --now smartrag.service smartrag-backup.timer || true
            note "the service is stopped"
        fi
        # Removing the list is the last step: a removal that broke off can be repeated.
        cp "$root$list" "$work/list"
        while read -r file; do [ "$file" = "$list" ] || drop "$file"; done <"$work/list"
        drop "$list"
        note "programs, plugins, models and units"
        ! has_systemd || run systemctl daemon-reload
    elif [ -n "$purge" ]; then
        say "no installation with the prefix $prefix: the programs are gone already"
    else
        die "no installation with the prefix $prefix in ${root:-/} ($root$list is missing): name its --prefix"
    fi
    if [ -n "$purge" ]; then purge_all; fi
    [ -z "$dry" ] || { say "nothing was done"; return 0; }
    for dir in /etc/smartrag /var/lib/smartrag /var/log/smartrag /var/backups/smartrag; do
        [ ! -d "$root$dir" ] || say "kept: $root$dir"
    done
    say "kept: the user smartrag"
    [ -n "$purge" ] || say "remove the data as well with: $0 --remove --purge$(same_place)"
}

purge_all() {
    data=$(sed -n 's/^data_dir: *//p' "$etc/config.yaml" 2>/dev/null || true)
    run rm -rf "$root/var/lib/smartrag" "$root/var/log/smartrag" "$etc"
    note "data, logs and config"
    if [ -z "$dry" ]; then rmdir "$root/var/backups/smartrag" 2>/dev/null || true; fi
    case "$data" in '' | /var/lib/smartrag) ;; *) warn "the config had data_dir: $data, which is still there" ;; esac
}

if [ -n "$remove" ]; then remove_all; else install_all; fi
