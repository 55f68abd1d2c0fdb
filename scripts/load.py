#!/usr/bin/env python3
"""Many clients at once: what a daemon answers, how fast, how fairly, and how it ends.

    scripts/load.py mix --corpus DIR [--seconds 300] [--clients 64]
    scripts/load.py pile --corpus DIR [--documents 20000]
    scripts/load.py sockets [--count 1000]

`mix`: clients of eight users ask without a pause, each request by chance a search (80 %), a question (15 %) or an upload
(5 %); then stretches with and without a ninth user who floods, by turns; then SIGTERM while all go on, and a start.
`pile`: how long one user's document takes to be searchable, alone and behind a pile that another user uploaded at once.
`sockets`: what idle WebSockets take of memory.

DIR is a retrieval set as `smartrag eval` takes it (corpus.jsonl.gz, queries.jsonl.gz). Each starts a daemon of its own in a
temporary directory. `--json` prints the figures for machines. The exit code is 1 if a client got what it should not get.
Only Python's own library is needed.
"""

import argparse
import asyncio
import base64
import collections
import contextlib
import gzip
import json
import os
import pathlib
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Of 100 requests.
MIX = {"search": 80, "query": 15, "upload": 5}
USERS = 8
# Seconds of a stretch with or without the flooding user.
STRETCH = 15
SAMPLE_S = 0.5
# Documents a request while the corpus is loaded.
BATCH = 200


class Daemon:
    """A daemon of its own in a directory."""

    def __init__(self, binary, directory):
        self.binary = str(binary)
        self.config, self.log = directory / "config.yaml", directory / "log"
        config = {"api": {"bind": "127.0.0.1:0"}, "auth": {"mode": "keys"}, "data_dir": str(directory / "data")}
        self.config.write_text(json.dumps(config))
        self.process = self.port = None

    def start(self):
        """Seconds until it is ready."""
        begin = time.monotonic()
        with open(self.log, "ab") as log:
            command = [self.binary, "serve", "--config", str(self.config)]
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        line = self.process.stdout.readline()
        if "ready at http://" not in line:
            raise SystemExit(f"the daemon did not start: {self.log.read_text()[-2000:]}")
        self.port = int(line.rsplit(":", 1)[1])
        return time.monotonic() - begin

    def smartrag(self, *arguments):
        command = [self.binary, *arguments, "--config", str(self.config)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def key(self, user):
        return json.loads(self.smartrag("keys", "create", "--user", user, "--json"))["key"]

    def resident_mb(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in fields.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) / 1024

    def cpu_s(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        """Seconds from SIGTERM to the end."""
        begin = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=120)
        if code:
            raise SystemExit(f"the daemon ended with {code}: {self.log.read_text()[-2000:]}")
        return time.monotonic() - begin


class Closed(Exception):
    """The other side closed the connection; `partial` if an answer had begun."""

    def __init__(self, partial):
        super().__init__(partial)
        self.partial = partial


class Connection:
    """One kept connection of one user."""

    def __init__(self, port, key):
        self.port, self.key = port, key
        self.reader = self.writer = None

    async def request(self, method, path, body=b"", content_type="application/json"):
        """Status and body."""
        if self.writer is None:
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 24)
        self.writer.write(
            f"{method} /api/v1{path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nAuthorization: Bearer {self.key}\r\n"
            f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        try:
            return await self.answer()
        except Closed:
            self.close()
            raise

    async def answer(self):
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            raise Closed(bool(error.partial)) from error
        except OSError as error:
            raise Closed(False) from error
        headers = head.lower()
        try:
            if b"transfer-encoding: chunked" in headers:
                body = await self.chunks()
            else:
                length = headers.split(b"content-length: ", 1)
                body = await self.reader.readexactly(int(length[1].split(b"\r", 1)[0])) if len(length) > 1 else b""
        except (asyncio.IncompleteReadError, OSError) as error:
            raise Closed(True) from error
        if b"connection: close" in headers:
            self.close()
        return int(head[9:12]), body

    async def chunks(self):
        parts = []
        while size := int(await self.reader.readuntil(b"\r\n"), 16):
            parts.append((await self.reader.readexactly(size + 2))[:-2])
        await self.reader.readexactly(2)
        return b"".join(parts)

    def close(self):
        if self.writer is not None:
            self.writer.close()
        self.reader = self.writer = None


class Corpus:
    def __init__(self, directory):
        def lines(name):
            with gzip.open(pathlib.Path(directory) / name, "rt", encoding="utf-8") as file:
                return [json.loads(line) for line in file]

        self.documents = [(line.get("title") or line["_id"], line["text"]) for line in lines("corpus.jsonl.gz")]
        self.questions = [line["text"] for line in lines("queries.jsonl.gz")]


def search(corpus, chance):
    body = {"query": chance.choice(corpus.questions), "collection": "admin/library", "top_k": 5}
    return "/search", json.dumps(body).encode(), "application/json"


def query(corpus, chance):
    body = {"query": chance.choice(corpus.questions), "collection": "admin/library"}
    return "/query", json.dumps(body).encode(), "application/json"


def upload(corpus, chance):
    title, text = chance.choice(corpus.documents)
    nonce = f"{chance.getrandbits(64):x}"
    head = f'--xx\r\nContent-Disposition: form-data; name="file"; filename="{nonce}.md"\r\n\r\n'
    body = f"{head}# {title} {nonce}\n\n{text}\r\n--xx--\r\n"
    return "/documents/upload", body.encode(), "multipart/form-data; boundary=xx"


MAKERS = {"search": search, "query": query, "upload": upload}


class Load:
    """Clients that go on until they are told to stop, and what they saw."""

    def __init__(self, corpus, port):
        self.corpus, self.port, self.stopped = corpus, port, False
        # Of each user: (end, kind, seconds)
        self.seen = collections.defaultdict(list)
        self.statuses, self.wrong = collections.Counter(), []
        self.cut = self.refused = 0
        self.is_ending = False

    async def client(self, user, key, seed, mix):
        chance, connection = random.Random(seed), Connection(self.port, key)
        kinds, weights = zip(*mix.items())
        while not self.stopped:
            kind = chance.choices(kinds, weights)[0]
            path, body, content_type = MAKERS[kind](self.corpus, chance)
            begin = time.monotonic()
            try:
                status, answer = await connection.request("POST", path, body, content_type)
            except Closed as closed:
                self.cut += closed.partial
                self.refused += not closed.partial
                if not self.is_ending:
                    self.wrong.append(f"{kind}: the connection was closed")
                continue
            except OSError:
                if self.is_ending:
                    return
                raise
            end = time.monotonic()
            self.statuses[status] += 1
            if status in (200, 202):
                self.seen[user].append((end, kind, end - begin))
            elif status == 429 or (status == 503 and self.is_ending):
                await asyncio.sleep(0.1)
            else:
                self.wrong.append(f"{kind}: {status} {answer[:200]}")
        connection.close()

    def times(self, users, kind, windows):
        inside = lambda end: any(begin <= end < until for begin, until in windows)
        return [s for user in users for end, of, s in self.seen[user] if of == kind and inside(end)]


def quantiles(seconds):
    ms = sorted(1000 * s for s in seconds)
    at = lambda share: round(ms[min(len(ms) - 1, int(share * len(ms)))], 1)
    return {"n": len(ms), "p50_ms": at(0.5), "p90_ms": at(0.9), "p99_ms": at(0.99), "max_ms": round(ms[-1], 1)} if ms else {"n": 0}


async def fill(corpus, daemon, admin, readers):
    """The library, which the others may read."""
    connection = Connection(daemon.port, admin)
    for at in range(0, len(corpus.documents), BATCH):
        lines = [json.dumps({"text": text, "filename": f"{at + i}.txt", "collection": "library"})
                 for i, (_, text) in enumerate(corpus.documents[at:at + BATCH])]
        status, answer = await connection.request(
            "POST", "/documents/batch?wait=true", "\n".join(lines).encode(), "application/x-ndjson")
        if status != 200 or b'"code"' in answer:
            raise SystemExit(f"the corpus can't be loaded: {status} {answer[:300]}")
    for user in readers:
        status, answer = await connection.request("PUT", f"/collections/library/grants/{user}", b'{"access": "read"}')
        if status not in (200, 201, 204):
            raise SystemExit(f"no grant for {user}: {status} {answer[:300]}")
    connection.close()


async def sample(daemon, samples):
    while True:
        samples.append(daemon.resident_mb())
        await asyncio.sleep(SAMPLE_S)


async def mix(args, daemon):
    corpus, users = Corpus(args.corpus), [f"user{at}" for at in range(USERS)]
    daemon.start()
    admin = daemon.key("admin")
    keys = {user: daemon.key(user) for user in [*users, "flood"]}
    print("loading", len(corpus.documents), "documents", file=sys.stderr)
    await fill(corpus, daemon, admin, keys)
    load, samples = Load(corpus, daemon.port), []
    watcher = asyncio.create_task(sample(daemon, samples))
    begin, cpu, own = time.monotonic(), daemon.cpu_s(), time.process_time()
    clients = [asyncio.create_task(load.client(users[at % USERS], keys[users[at % USERS]], at, args.mix))
               for at in range(args.clients)]
    print("the mix for", args.seconds, "s", file=sys.stderr)
    await asyncio.sleep(args.seconds)
    end = time.monotonic()
    whole = [(begin, end)]
    report = {"clients": args.clients, "seconds": args.seconds,
              "requests_per_second": round(sum(load.statuses.values()) / (end - begin)),
              "daemon_cpus": round((daemon.cpu_s() - cpu) / (end - begin), 2),
              "clients_cpus": round((time.process_time() - own) / (end - begin), 2)}
    report |= {kind: quantiles(load.times(users, kind, whole)) for kind in args.mix}
    tenth = max(1, len(samples) // 10)
    report["resident_mb"] = {"first_tenth": round(statistics.median(samples[:tenth])), "max": round(max(samples)),
                             "last_tenth": round(statistics.median(samples[-tenth:]))}
    if args.rounds:
        report["flood"] = await flood(args, load, users, keys["flood"])
    watcher.cancel()
    report["resident_mb"]["max_with_flood"] = round(max(samples))
    load.is_ending = True
    load.cut = load.refused = 0
    report["sigterm_s"] = round(await asyncio.to_thread(daemon.stop), 2)
    load.stopped = True
    await asyncio.gather(*clients)
    report["sigterm_answers_cut"], report["sigterm_closed_before_an_answer"] = load.cut, load.refused
    report["next_start_s"] = round(daemon.start(), 2)
    report["next_stop_s"] = round(daemon.stop(), 2)
    report["statuses"] = dict(load.statuses)
    if load.cut:
        load.wrong.append(f"{load.cut} answers were cut at the end")
    return report, load.wrong


async def flood(args, load, users, key):
    """Stretches of the mix with and without a user who has as many clients as all others together."""
    print("stretches with a flooding user", file=sys.stderr)
    windows = {False: [], True: []}
    for turn in range(2 * args.rounds):
        flooding, extra = turn % 2 == 1, []
        if flooding:
            extra = [asyncio.create_task(load.client("flood", key, 1000 + at, {"search": 1})) for at in range(args.flood)]
        await asyncio.sleep(1)
        begin = time.monotonic()
        await asyncio.sleep(args.stretch)
        windows[flooding].append((begin, time.monotonic()))
        for task in extra:
            task.cancel()
        await asyncio.gather(*extra, return_exceptions=True)
    found = {}
    for kind in args.mix:
        alone, beside = (quantiles(load.times(users, kind, windows[flooding])) for flooding in (False, True))
        found[kind] = {"alone": alone, "beside": beside, "p50_ratio": round(beside["p50_ms"] / alone["p50_ms"], 2)}
    flooder = load.times(["flood"], "search", windows[True])
    found["flooder"] = quantiles(flooder)
    return found


async def pile(args, daemon):
    corpus = Corpus(args.corpus)
    daemon.start()
    many, one = (Connection(daemon.port, daemon.key(user)) for user in ("many", "one"))

    async def singles(name):
        times = []
        for at in range(args.count):
            body = json.dumps({"filename": f"{name}{at}.md", "text": f"The {at}th note of one who waits, {name}."})
            begin = time.monotonic()
            status, answer = await one.request("POST", "/documents?wait=true", body.encode())
            times.append(time.monotonic() - begin)
            if status != 200:
                raise SystemExit(f"no single document: {status} {answer[:300]}")
        return times

    async def waiting():
        status, answer = await many.request("GET", "/documents?status=queued&limit=1")
        return bool(json.loads(answer)["items"])

    alone = quantiles(await singles("before"))
    print("piling up", args.documents, "documents", file=sys.stderr)
    for at in range(0, args.documents, BATCH):
        documents = (corpus.documents[i % len(corpus.documents)] for i in range(at, at + BATCH))
        lines = [json.dumps({"text": f"{text} {at + i}", "filename": f"{at + i}.txt"})
                 for i, (_, text) in enumerate(documents)]
        status, answer = await many.request(
            "POST", "/documents/batch", "\n".join(lines).encode(), "application/x-ndjson")
        if status != 200 or b'"code"' in answer:
            raise SystemExit(f"no pile: {status} {answer[:300]}")
    begin = time.monotonic()
    behind = quantiles(await singles("behind"))
    wrong = [] if await waiting() else ["the pile was worked off before the last of the others: make it larger"]
    while await waiting():
        await asyncio.sleep(0.2)
    report = {"documents": args.documents, "alone": alone, "behind_the_pile": behind,
              "pile_worked_off_s": round(time.monotonic() - begin, 1)}
    report["stop_s"] = round(await asyncio.to_thread(daemon.stop), 2)
    return report, wrong


async def sockets(args, daemon):
    daemon.start()
    key = daemon.key("admin")
    await asyncio.sleep(1)
    before = daemon.resident_mb()
    opened, path = [], args.socket
    if path != "notifications":
        status, answer = await Connection(daemon.port, key).request("POST", "/sessions", b"{}")
        path += "/" + json.loads(answer)["session_id"]
    for _ in range(args.count):
        reader, writer = await asyncio.open_connection("127.0.0.1", daemon.port)
        nonce = base64.b64encode(os.urandom(16)).decode()
        writer.write(
            f"GET /ws/v1/{path} HTTP/1.1\r\nHost: 127.0.0.1:{daemon.port}\r\nAuthorization: Bearer {key}\r\nConnection: Upgrade\r\n"
            f"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {nonce}\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 101 " not in head:
            return {}, [f"after {len(opened)} sockets: {head[:200]}"]
        opened.append((reader, writer))
    await asyncio.sleep(args.seconds)
    after = daemon.resident_mb()
    for _, writer in opened:
        writer.close()
    report = {"sockets": len(opened), "before_mb": round(before, 1), "after_mb": round(after, 1),
              "more_mb": round(after - before, 1), "kb_each": round(1024 * (after - before) / len(opened), 1)}
    report["stop_s"] = round(await asyncio.to_thread(daemon.stop), 2)
    return report, []


def parts(text):
    """KIND=SHARE,… as a mapping."""
    mix = {kind: float(share) for kind, share in (part.split("=") for part in text.split(","))}
    if not mix.keys() <= MAKERS.keys():
        raise ValueError(text)
    return mix


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--bin", type=pathlib.Path, default=ROOT / "target/release/smartrag")
    common.add_argument("--json", action="store_true")
    common.add_argument("--keep", action="store_true", help="keep the directory of the daemon")
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("mix", parents=[common])
    one.add_argument("--corpus", required=True)
    one.add_argument("--seconds", type=float, default=300)
    one.add_argument("--clients", type=int, default=64)
    one.add_argument("--mix", type=parts, default=MIX, metavar="KIND=SHARE,…", help="search=80,query=15,upload=5")
    one.add_argument("--flood", type=int, default=64, help="clients of the flooding user")
    one.add_argument("--rounds", type=int, default=4)
    one.add_argument("--stretch", type=float, default=STRETCH)
    one = commands.add_parser("pile", parents=[common])
    one.add_argument("--corpus", required=True)
    one.add_argument("--documents", type=int, default=20000)
    one.add_argument("--count", type=int, default=20, help="documents of the other user")
    one = commands.add_parser("sockets", parents=[common])
    one.add_argument("--count", type=int, default=1000)
    one.add_argument("--socket", default="notifications",
                     choices=["notifications", "events", "query"])
    one.add_argument("--seconds", type=float, default=5, help="how long they idle before the memory is read")
    args = parser.parse_args()
    directory = pathlib.Path(tempfile.mkdtemp(prefix="smartrag-load-"))
    daemon = Daemon(args.bin, directory)
    try:
        report, wrong = asyncio.run({"mix": mix, "pile": pile, "sockets": sockets}[args.command](args, daemon))
    finally:
        if daemon.process and daemon.process.poll() is None:
            daemon.process.kill()
        if args.keep:
            print("kept:", directory, file=sys.stderr)
        else:
            subprocess.run(["rm", "-rf", directory], check=True)
    print(json.dumps(report, indent=None if args.json else 2))
    for line in wrong[:10]:
        print("wrong:", line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
