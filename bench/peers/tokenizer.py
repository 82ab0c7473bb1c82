"""Throughput of Hugging Face's Rust tokenizers on text files; prints one JSON line.

    python3 bench/peers/tokenizer.py --tokenizer DIR/tokenizer.json --text FILE...

`lines` encodes one line after the other on one core, `batch` all lines in one call (on all cores), `whole` each file as
one string; each time by a new tokenizer, which has seen no word.
"""

import argparse
import json
import os
import statistics
import time
from importlib.metadata import version
from pathlib import Path

from tokenizers import Tokenizer


def rate(path, run, repeats):
    """The number of tokens, and tokens a second by the median of a few runs, after one that is not counted."""
    times = []
    for _ in range(repeats + 1):
        tokenizer = Tokenizer.from_file(path)
        began = time.perf_counter()
        tokens = run(tokenizer)
        times.append(time.perf_counter() - began)
    return {"tokens": tokens, "tokensPerSecond": tokens / statistics.median(times[1:])}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", required=True, help="tokenizer.json")
    parser.add_argument("--text", nargs="+", required=True)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()

    texts = [Path(name).read_text(encoding="utf-8") for name in args.text]
    lines = [line for text in texts for line in text.splitlines(keepends=True)]
    measure = lambda run: rate(args.tokenizer, run, args.repeats)  # noqa: E731
    count = lambda encoded: sum(len(one.ids) for one in encoded)  # noqa: E731
    print(json.dumps({
        "peer": "tokenizers",
        "versions": {"tokenizers": version("tokenizers")},
        "processors": os.cpu_count(),
        "bytes": sum(len(text.encode()) for text in texts),
        "lines": measure(lambda tokenizer: sum(len(tokenizer.encode(line).ids) for line in lines)),
        "batch": measure(lambda tokenizer: count(tokenizer.encode_batch(lines))),
        "whole": measure(lambda tokenizer: count(tokenizer.encode(text) for text in texts)),
    }))  # fmt: skip


if __name__ == "__main__":
    main()
