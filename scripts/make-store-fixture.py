#!/usr/bin/env python3
"""Makes the store that later versions must still open: a small data directory with something of everything, and what the
daemon answered about it. Run it once for each format of the store, with a build that writes this format:

    scripts/make-store-fixture.py tests/it/data/store-FORMAT.tar.gz [--bin target/debug/smartrag]

The archive holds `data/` and `answers.json`; tests/it/old_stores.rs starts a daemon on the one and compares with the other.
"""

import argparse
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
# The truth. Indexes and caches are made again.
KEPT = ["database", "file_storage"]


class Api:
    def __init__(self, url):
        self.url, self.keys = url, {}

    def send(self, user, method, path, body=None, headers=()):
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        all_headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.keys[user]}", **dict(headers)}
        request = urllib.request.Request(f"{self.url}/api/v1{path}", data, all_headers, method=method)
        try:
            with urllib.request.urlopen(request) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            sys.exit(f"{method} {path}: {error.code} {error.read().decode()}")


def fill(api):
    """Something of everything."""
    sent = api.send
    session = sent("ann", "POST", "/sessions", {"title": "At home", "context": {"client": "fixture"}})["session_id"]
    documents = [
        ("ann", {"text": "# Heat pumps\n\nThe heat pump of the library was serviced in May by Mrs. Okafor.\n\n"
                         "## Filter\n\nIts filter must be changed each spring.", "filename": "pump.md", "tags": ["house"],
                 "metadata": {"year": 2026, "floor": "cellar"}, "path": "/notes/pump.md"}),
        ("ann", {"text": "Der Schlüssel zum Archiv liegt im blauen Schrank neben der Tür.", "filename": "archiv.txt",
                 "collection": "papers"}),
        ("bob", {"text": "Bob keeps bees behind the mill. They swarm in June.", "filename": "bees.txt"}),
    ]
    ids = {}
    for user, document in documents:
        answer = sent(user, "POST", "/documents?wait=true", document)
        ids[document["filename"]] = answer["document_id"]
    # A second version takes the place of the first.
    pump = dict(documents[0][1], text=documents[0][1]["text"].replace("May", "April"))
    ids["pump.md"] = sent("ann", "POST", "/documents?wait=true", pump, {"Idempotency-Key": "fixture-1"})["document_id"]
    ids["large.html"] = upload(api, "large.html", large())
    ids["broken.pdf"] = upload(api, "broken.pdf", b"%PDF-1.7\nthis is no PDF")
    sent("ann", "PUT", "/collections/papers/grants/bob", {"access": "read"})
    asked = sent("ann", "POST", "/query", {"query": "When must the filter of the heat pump be changed?", "session_id": session})
    sent("ann", "POST", "/query", {"query": "And who serviced it?", "conversation_id": asked["conversation_id"]})
    sent("bob", "POST", "/search", {"query": "Schlüssel Archiv", "collection": "ann/papers"})
    return ids, session, asked["conversation_id"]


def large():
    """Too large to lie within the database, with little to say."""
    return b"<html><body><p>The box of the old maps stands on shelf 97.</p><!-- " + b"padding " * 90_000 + b"--></body></html>"


def upload(api, name, content):
    body = (f'--xx\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode() + content
            + b"\r\n--xx--\r\n")
    answer = api.send("ann", "POST", "/documents/upload?wait=true", body, {"Content-Type": "multipart/form-data; boundary=xx"})
    return answer["items"][0]["document_id"]


def questions(ids, session, conversation):
    """Whom to ask for what."""
    yield from (("ann", path) for path in [
        "/documents?sort=upload_time", "/documents?path=/notes/pump.md", "/collections", f"/sessions/{session}",
        f"/conversations/{conversation}", f"/conversations/{conversation}/messages", "/analytics/queries"])
    yield from (("ann", f"/documents/{ids[name]}") for name in ["pump.md", "archiv.txt", "large.html", "broken.pdf"])
    yield "ann", f"/documents/{ids['pump.md']}/chunks"
    yield from (("bob", path) for path in [
        "/documents", "/documents?collection=ann/papers", f"/documents/{ids['archiv.txt']}", "/collections"])
    yield from (("admin", path) for path in ["/admin/users", "/admin/keys"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", type=pathlib.Path)
    parser.add_argument("--bin", type=pathlib.Path, default=ROOT / "target/debug/smartrag")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="smartrag-fixture-") as directory:
        make(args, pathlib.Path(directory))
    print(f"{args.archive}: {args.archive.stat().st_size} bytes")


def make(args, directory):
    config = directory / "config.yaml"
    config.write_text(json.dumps({"api": {"bind": "127.0.0.1:0"}, "auth": {"mode": "keys"}, "data_dir": str(directory / "data")}))

    def smartrag(*arguments):
        command = [args.bin, *arguments, "--config", config]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def serve():
        process = subprocess.Popen([args.bin, "serve", "--config", config], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                   text=True)
        return process, process.stdout.readline().split()[-1]

    def end(process):
        process.terminate()
        if process.wait():
            sys.exit("the daemon did not end well")

    process, url = serve()
    api = Api(url)
    for user, role in [("admin", "admin"), ("ann", "user"), ("bob", "user")]:
        api.keys[user] = json.loads(smartrag("keys", "create", "--user", user, "--role", role, "--label", "fixture", "--json"))["key"]
    asked = list(questions(*fill(api)))
    end(process)
    smartrag("optimize")
    process, api.url = serve()
    answers = [{"user": user, "path": path, "answer": api.send(user, "GET", path)} for user, path in asked]
    end(process)
    (directory / "answers.json").write_text(json.dumps({"keys": api.keys, "answers": answers}, indent=1, ensure_ascii=False))
    for entry in (directory / "data").iterdir():
        if entry.name not in KEPT:
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    args.archive.parent.mkdir(parents=True, exist_ok=True)
    tar = ["tar", "--sort=name", "--owner=0", "--group=0", "--numeric-owner", "-C", directory, "-czf", args.archive.resolve(),
           "data", "answers.json"]
    subprocess.run(tar, check=True)


if __name__ == "__main__":
    main()
