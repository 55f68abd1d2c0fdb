#!/usr/bin/env python3
"""Names the inputs of a libFuzzer merge that reach most, each more than those before it: CONTROL_FILE COUNT."""

import sys


def read(path):
    """Paths of the inputs, and for each that ran the edges it reached and its size."""
    lines = open(path, encoding="utf-8", errors="surrogateescape").read().splitlines()
    count = int(lines[0])
    names, edges, sizes = lines[2 : 2 + count], {}, {}
    for line in lines[2 + count :]:
        word, nth, *rest = line.split()
        if word == "STARTED":
            sizes[int(nth)] = int(rest[0])
        elif word == "FT":
            edges[int(nth)] = set(rest)
    return names, edges, sizes


def main():
    names, edges, sizes = read(sys.argv[1])
    reached, left = set(), dict(edges)
    for _ in range(int(sys.argv[2])):
        best = max(left, key=lambda nth: (len(left[nth] - reached), -sizes[nth]), default=None)
        if best is None or not left[best] - reached:
            break
        print(names[best])
        reached |= left.pop(best)
    print(f"{len(reached)} of {len(set().union(*edges.values()))} edges", file=sys.stderr)


main()
