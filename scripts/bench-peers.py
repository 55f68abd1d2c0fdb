#!/usr/bin/env python3
"""A peer for `smartrag bench vectors`: hnswlib over the same vectors, in turns with ours.

    python3 scripts/bench-peers.py hnswlib DIR DIMENSION

DIR holds vectors.f32 and queries.f32 (row-major, little-endian, unit length) and truth.u32 (the ten nearest of each
query). Each line on stdin is a command, each line on stdout its answer as JSON:
    build EF_CONSTRUCTION THREADS   {"seconds": .., "cpu_seconds": ..}
    search EF                       {"us": .. of processor time a query, one thread, "recall": ..@10}
    size                            {"bytes": .. a vector, as saved}
    reopen                          {"ms": .. from a new process's load to its first answer, "bytes": .. resident more
                                    after all queries than before}; the median of five processes
The package is installed into an environment of its own, ~/.cache/smartrag-bench unless SMARTRAG_BENCH_VENV names another.
"""
import json
import os
import subprocess
import sys
import tempfile
import time
import venv

PACKAGES = ["numpy", "hnswlib==0.8.0"]


def enter_environment():
    """Goes on in the Python of the environment, which is made where it is missing."""
    home = os.environ.get("SMARTRAG_BENCH_VENV") or os.path.expanduser("~/.cache/smartrag-bench")
    python = os.path.join(home, "bin", "python")
    if os.path.realpath(sys.prefix) == os.path.realpath(home):
        return
    if subprocess.run([python, "-c", "import numpy, hnswlib"], capture_output=True).returncode if os.path.exists(python) else True:
        venv.create(home, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True, stdout=sys.stderr)
    os.execv(python, [python, *sys.argv])


class Hnswlib:
    M = 16

    def __init__(self, directory, dimension):
        import numpy

        def read(name, kind, width):
            return numpy.fromfile(os.path.join(directory, name), dtype=kind).reshape(-1, width)

        self.dimension = dimension
        self.vectors = read("vectors.f32", "<f4", dimension)
        self.queries = read("queries.f32", "<f4", dimension)
        self.truth = read("truth.u32", "<u4", 10)

    def build(self, ef_construction, threads):
        import hnswlib

        self.index = hnswlib.Index(space="ip", dim=self.dimension)
        self.index.init_index(max_elements=len(self.vectors), M=self.M, ef_construction=int(ef_construction))
        begun, cpu = time.perf_counter(), time.process_time()
        self.index.add_items(self.vectors, num_threads=int(threads))
        return {"seconds": time.perf_counter() - begun, "cpu_seconds": time.process_time() - cpu}

    def search(self, ef):
        self.index.set_ef(max(int(ef), 10))
        begun = time.process_time()
        found, _ = self.index.knn_query(self.queries, k=10, num_threads=1)
        us = (time.process_time() - begun) * 1e6 / len(self.queries)
        return {"us": us, "recall": self.recall(found)}

    def recall(self, found):
        """A row that is as near as the tenth of the truth counts: equal texts are interchangeable."""
        import numpy

        def nearness(rows):
            return numpy.einsum("qkd,qd->qk", self.vectors[rows], self.queries)

        tenth = nearness(self.truth).min(axis=1, keepdims=True)
        return float((nearness(found) >= tenth - 1e-6).mean())

    def size(self):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "index")
            self.index.save_index(path)
            return {"bytes": os.path.getsize(path) / len(self.vectors)}


    def reopen(self):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "index")
            self.index.save_index(path)
            runs = [json.loads(subprocess.check_output(
                [sys.executable, "-c", REOPEN, path, os.path.join(sys.argv[2], "queries.f32"), str(self.dimension)]
            )) for _ in range(5)]
        return {key: sorted(run[key] for run in runs)[2] for key in ("ms", "bytes")}


# Opens an index: file, queries, dimension.
REOPEN = """
import json, sys, time
import hnswlib, numpy
dimension = int(sys.argv[3])
queries = numpy.fromfile(sys.argv[2], dtype="<f4").reshape(-1, dimension)
def resident():
    status = open("/proc/self/status").read()
    return int(status.split("VmRSS:")[1].split()[0]) * 1024
before, begun = resident(), time.perf_counter()
index = hnswlib.Index(space="ip", dim=dimension)
index.load_index(sys.argv[1])
index.set_ef(48)
index.knn_query(queries[:1], k=10, num_threads=1)
ms = (time.perf_counter() - begun) * 1e3
index.knn_query(queries, k=10, num_threads=1)
print(json.dumps({"ms": ms, "bytes": resident() - before}))
"""


def main():
    if len(sys.argv) != 4 or sys.argv[1] != "hnswlib":
        sys.exit(__doc__)
    enter_environment()
    peer = Hnswlib(sys.argv[2], int(sys.argv[3]))
    for line in sys.stdin:
        command, *arguments = line.split()
        if command not in ("build", "search", "size", "reopen"):
            sys.exit(f"unknown command {command}")
        print(json.dumps(getattr(peer, command)(*arguments)), flush=True)


if __name__ == "__main__":
    main()
