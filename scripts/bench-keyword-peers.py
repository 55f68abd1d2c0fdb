#!/usr/bin/env python3
"""What tantivy-py and hnswlib do in one process with the texts that `smartrag bench search` takes: ingestion, hybrid
search, memory. Their embeddings are given, ours are made on the way: fetched once from a running daemon and kept.

    scripts/bench-keyword-peers.py --corpus corpus.ndjson --url http://127.0.0.1:8765 [--documents N] [--json]

Makes its own environment beside the build (target/bench-peers) on the first run.
"""

import argparse
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import venv

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
ENVIRONMENT = TARGET / "bench-peers"
PACKAGES = ["numpy", "tantivy", "hnswlib"]
# Texts of one request to /embed, and of one batch of the peers.
EMBED_BATCH = 1024
BATCH = 1000
# Results of each side before fusion, results shown, weight of the vector side, graph search depth: as ours by default.
CANDIDATES, TOP_K, ALPHA, EF = 100, 5, 0.3, 100
QUERY_WORDS = 8


def in_environment():
    """Starts this program again in its own environment, made where it is not there yet."""
    python = ENVIRONMENT / "bin" / "python"
    if pathlib.Path(sys.prefix).resolve() == ENVIRONMENT.resolve():
        return
    if not (ENVIRONMENT / "ready").exists():
        venv.create(ENVIRONMENT, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
        (ENVIRONMENT / "ready").touch()
    os.execv(python, [str(python), *sys.argv])


def read_texts(path, count):
    with open(path, encoding="utf-8") as lines:
        texts = list(dict.fromkeys(json.loads(line)["text"] for line in lines))
    return texts[:count] if count else texts


def embed(url, texts):
    body = json.dumps({"input": texts}).encode()
    request = urllib.request.Request(f"{url}/api/v1/embed", body, {"content-type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["embeddings"]


def embedded(url, texts, cache):
    """Vectors of all texts, float32, from the cache where it has as many."""
    import numpy

    if cache.exists():
        vectors = numpy.load(cache)
        if len(vectors) == len(texts):
            return vectors
    batches = [embed(url, texts[at : at + EMBED_BATCH]) for at in range(0, len(texts), EMBED_BATCH)]
    vectors = numpy.concatenate([numpy.asarray(batch, dtype=numpy.float32) for batch in batches])
    numpy.save(cache, vectors)
    return vectors


def make_queries(texts, count):
    """A few words from the middle of a text, as `smartrag bench search` asks."""
    chooser = random.Random(2)
    queries = []
    for _ in range(count):
        words = chooser.choice(texts).split()
        start = chooser.randrange(max(1, len(words) - QUERY_WORDS))
        queries.append(" ".join(words[start : start + QUERY_WORDS]))
    return queries


def resident_mb():
    with open("/proc/self/status", encoding="utf-8") as status:
        kib = next(line for line in status if line.startswith("VmRSS:")).split()[1]
    return int(kib) * 1024 / 1e6


class Peers:
    """tantivy for words, hnswlib (M 16) for vectors, a convex combination of both."""

    def __init__(self, directory, dimension, count):
        import hnswlib
        import tantivy

        schema = tantivy.SchemaBuilder()
        schema.add_text_field("text", stored=False, tokenizer_name="en_stem")
        schema.add_integer_field("id", stored=True, fast=True)
        self.keyword = tantivy.Index(schema.build(), path=directory)
        self.writer = self.keyword.writer(heap_size=64_000_000, num_threads=1)
        self.vectors = hnswlib.Index(space="ip", dim=dimension)
        self.vectors.init_index(max_elements=count, ef_construction=200, M=16)
        self.vectors.set_ef(EF)

    def add(self, first, texts, vectors):
        import tantivy

        for number, text in enumerate(texts, first):
            document = tantivy.Document()
            document.add_text("text", text)
            document.add_integer("id", number)
            self.writer.add_document(document)
        self.writer.commit()
        self.vectors.add_items(vectors, range(first, first + len(texts)))
        self.keyword.reload()

    def search(self, query, vector):
        words = "".join(letter if letter.isalnum() else " " for letter in query)
        searcher = self.keyword.searcher()
        parsed, _ = self.keyword.parse_query_lenient(words, ["text"])
        found = searcher.search(parsed, CANDIDATES).hits
        best = max((score for score, _ in found), default=1.0)
        scores = {}
        for score, address in found:
            number = searcher.doc(address)["id"][0]
            scores[number] = (1 - ALPHA) * score / best
        labels, distances = self.vectors.knn_query(vector, k=CANDIDATES)
        cosines = 1 - distances[0]
        least, most = cosines.min(), cosines.max()
        for number, cosine in zip(labels[0], cosines):
            share = (cosine - least) / (most - least) if most > least else 1.0
            scores[int(number)] = scores.get(int(number), 0.0) + ALPHA * float(share)
        return sorted(scores, key=scores.get, reverse=True)[:TOP_K]


def timed_ingestion(peers, texts, vectors):
    """Chunks a second over all, in the first and in the last tenth."""
    marks = []
    begun = time.perf_counter()
    for first in range(0, len(texts), BATCH):
        peers.add(first, texts[first : first + BATCH], vectors[first : first + BATCH])
        marks.append((min(first + BATCH, len(texts)), time.perf_counter() - begun))
    tenth = max(1, len(marks) // 10)
    (early, early_at), (late, late_at) = marks[tenth - 1], marks[-1]
    before, before_at = marks[-tenth - 1] if len(marks) > tenth else (0, 0.0)
    return late / late_at, early / early_at, (late - before) / (late_at - before_at)


def timed_searches(peers, queries, vectors, clients):
    """Median and 99th percentile of one client in ms, and searches a second of several threads."""
    times = []
    for query, vector in zip(queries, vectors):
        begun = time.perf_counter()
        peers.search(query, vector)
        times.append((time.perf_counter() - begun) * 1e3)
    times.sort()
    share = lambda part: times[int((len(times) - 1) * part)]
    work = list(zip(queries, vectors))
    slices = [work[client::clients] for client in range(clients)]
    threads = [threading.Thread(target=lambda part: [peers.search(*each) for each in part], args=(part,)) for part in slices]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return share(0.5), share(0.99), len(work) / (time.perf_counter() - begun)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", required=True, metavar="FILE.ndjson")
    parser.add_argument("--url", default="http://127.0.0.1:8765", help="a daemon that embeds the texts")
    parser.add_argument("--documents", type=int, metavar="N")
    parser.add_argument("--requests", type=int, default=2000, metavar="N")
    parser.add_argument("--clients", type=int, default=8, metavar="N")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    in_environment()
    texts = read_texts(args.corpus, args.documents)
    cache = pathlib.Path(f"{args.corpus}.{len(texts)}.npy")
    vectors = embedded(args.url, texts, cache)
    queries = make_queries(texts, args.requests)
    query_vectors = embedded(args.url, queries, pathlib.Path(f"{args.corpus}.queries{len(queries)}.npy"))
    with tempfile.TemporaryDirectory() as directory:
        peers = Peers(directory, vectors.shape[1], len(texts))
        before = resident_mb()
        overall, first, last = timed_ingestion(peers, texts, vectors)
        memory = resident_mb() - before
        p50, p99, rate = timed_searches(peers, queries, query_vectors, args.clients)
    figures = [
        ("bulk ingestion, embeddings given", overall, "chunks/s"),
        ("the same, first tenth", first, "chunks/s"),
        ("the same, last tenth", last, "chunks/s"),
        ("hybrid search in process, embedding given, one client, p50", p50, "ms"),
        ("hybrid search in process, embedding given, one client, p99", p99, "ms"),
        (f"hybrid search in process, embedding given, {args.clients} threads", rate, "1/s"),
        ("memory that the indexes added", memory, "MB"),
    ]
    if args.json:
        print(json.dumps([{"name": name, "value": value, "unit": unit} for name, value, unit in figures], indent=2))
    else:
        for name, value, unit in figures:
            print(f"{name:<64}{value:>10.2f} {unit}")


if __name__ == "__main__":
    main()
