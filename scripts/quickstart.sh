#!/usr/bin/env bash
# From a clone to a cited answer: ./scripts/quickstart.sh [--once]
#
# Brings what is missing, builds the daemon and its plugins, starts it, uploads the sample documents and asks two
# questions. The daemon goes on running; --once stops it at the end.
# SMARTRAG_API_PORT chooses another port than 8765, SMARTRAG_DATA_DIR another data directory.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

once=
case "${1:-}" in
"") ;;
--once) once=1 ;;
-h | --help) sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 0 ;;
*) say "unknown option $1; usage: $0 [--once]"; exit 2 ;;
esac

export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}"
port="${SMARTRAG_API_PORT:-8765}"
export SMARTRAG_URL="http://127.0.0.1:$port"
data="${SMARTRAG_DATA_DIR:-$HOME/.local/share/smartrag-quickstart}"
log="$data/smartrag.log"
bin="$CARGO_TARGET_DIR/release/smartrag"

step "1/5 tools"
need_everything

step "2/5 building the daemon (a first build takes ten minutes or more on two cores)"
"$CARGO" build --release --locked

step "3/5 building the plugins"
SMARTRAG_BIN="$bin" ./scripts/build-plugins.sh

step "4/5 the embedder's weights (19 MB)"
fetch_models "$bin"

step "5/5 starting the daemon"
mkdir -p "$data"
curl_health() { curl -fsS -m 2 "$SMARTRAG_URL/health/live" >/dev/null 2>&1; }
if [ -f "$data/smartrag.pid" ] && kill -0 "$(cat "$data/smartrag.pid")" 2>/dev/null; then
    say "stopping the daemon of the last time"
    kill "$(cat "$data/smartrag.pid")"
    for _ in $(seq 100); do kill -0 "$(cat "$data/smartrag.pid")" 2>/dev/null || break; sleep 0.1; done
fi
if curl_health; then
    die "something else answers on port $port: stop it, or choose another port with SMARTRAG_API_PORT=… $0"
fi
setsid "$bin" serve --data-dir "$data" --bind "127.0.0.1:$port" </dev/null >"$log" 2>&1 &
echo $! >"$data/smartrag.pid"
stop() { kill "$(cat "$data/smartrag.pid")" 2>/dev/null || true; rm -f "$data/smartrag.pid"; }
[ -z "$once" ] || trap stop EXIT
for _ in $(seq 300); do
    curl_health && break
    kill -0 "$(cat "$data/smartrag.pid")" 2>/dev/null || { tail -n 20 "$log" >&2; die "the daemon ended; its log is $log"; }
    sleep 0.1
done
curl_health || { tail -n 20 "$log" >&2; die "the daemon does not answer after 30 s; its log is $log"; }

"$bin" upload examples/documents
ask() { printf '\n\033[1m? %s\033[0m\n' "$1"; "$bin" query "$1"; }
ask "How often are water samples taken, and where?"
ask "Wie oft wird der Luftfilter des Wechselrichters gewechselt?"

if [ -z "$once" ]; then
    say ""
    say "SmartRAG is running at $SMARTRAG_URL (API docs: $SMARTRAG_URL/docs)"
    say "  ask:   SMARTRAG_URL=$SMARTRAG_URL $bin query \"…\""
    say "  log:   $log"
    say "  stop:  kill $(cat "$data/smartrag.pid")"
fi
