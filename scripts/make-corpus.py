#!/usr/bin/env python3
"""Makes a large corpus of real text: one sentence a document, then mixtures of sentences, as NDJSON for
`POST /api/v1/documents/batch` and for `smartrag bench search --corpus`. The same arguments give the same bytes.

    scripts/make-corpus.py --documents 100000 --out corpus.ndjson DIR...

DIR is a retrieval set as `smartrag eval` takes it (corpus.jsonl.gz). Each document is short enough to be one chunk.
"""

import argparse
import gzip
import json
import pathlib
import random
import re
import sys

# Sentences shorter than this say too little to be found by.
CHARS_MIN = 40
# Sentences of a mixture, and characters that it may have: well below the 256 tokens of a chunk.
MIXTURE = (2, 4)
CHARS_MAX = 700
SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-ZÄÖÜ0-9])")


def sentences(directories):
    """Distinct sentences of all sets, in the order of their files."""
    seen = {}
    for directory in directories:
        path = pathlib.Path(directory) / "corpus.jsonl.gz"
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                text = json.loads(line)["text"]
                for sentence in SENTENCE_END.split(" ".join(text.split())):
                    if CHARS_MIN <= len(sentence) <= CHARS_MAX:
                        seen.setdefault(sentence)
    return list(seen)


def mixture(source, chooser):
    """Sentences from anywhere, joined to one text."""
    parts = chooser.sample(source, chooser.randint(*MIXTURE))
    while len(parts) > 1 and sum(map(len, parts)) > CHARS_MAX:
        parts.pop()
    return " ".join(parts)


def documents(source, count, seed):
    """`count` distinct texts: first the sentences, shuffled, then mixtures of them."""
    chooser = random.Random(seed)
    singles = list(source)
    chooser.shuffle(singles)
    yield from singles[:count]
    made, seen = len(singles), set(singles)
    while made < count:
        text = mixture(source, chooser)
        if text not in seen:
            seen.add(text)
            made += 1
            yield text


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="+", metavar="DIR")
    parser.add_argument("--documents", type=int, default=100_000, metavar="N")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", metavar="FILE", help="standard output where left out")
    args = parser.parse_args()
    source = sentences(args.sets)
    if len(source) < MIXTURE[1]:
        sys.exit("error: the sets hold too few sentences to mix")
    out = open(args.out, "w", encoding="utf-8") if args.out else sys.stdout
    with out:
        for number, text in enumerate(documents(source, args.documents, args.seed), 1):
            line = {"filename": f"{number:07}.txt", "text": text}
            out.write(json.dumps(line, ensure_ascii=False) + "\n")
    print(f"{len(source)} sentences, {args.documents} documents", file=sys.stderr)


if __name__ == "__main__":
    main()
