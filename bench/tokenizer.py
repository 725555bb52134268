#!/usr/bin/env python3
"""tokenizer.py BENCH_TOKENIZER MODEL FILE.jsonl... - load time and MB/s beside `tokenizers`.

The texts of all members of the lines; each is one call, one thread on both sides, in turns. Prints
the median of ROUNDS and the ratio's range.
"""
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

os.environ.update(TOKENIZERS_PARALLELISM='false', RAYON_NUM_THREADS='1')
ROUNDS = 5


def texts(paths):
    for path in paths:
        with open(path, encoding='utf-8') as file:
            for line in file:
                yield from (v for v in json.loads(line).values() if isinstance(v, str) and v)


def library(model, documents, size):
    from tokenizers import Tokenizer
    begin = time.perf_counter()
    one = Tokenizer.from_file(os.path.join(model, 'tokenizer.json'))
    loaded = time.perf_counter()
    tokens = sum(len(one.encode(text, add_special_tokens=False).ids) for text in documents)
    return (loaded - begin) * 1e3, size / (time.perf_counter() - loaded) * 1e-6, tokens


def main():
    program, model, *paths = sys.argv[1:]
    documents = list(texts(paths))
    rows = []
    with tempfile.NamedTemporaryFile('wb') as file:
        file.write(b'\0'.join(text.encode() for text in documents))
        file.flush()
        size = sum(len(text.encode()) for text in documents)
        for _ in range(ROUNDS):
            ours = json.loads(subprocess.run([program, model, file.name, '1'], check=True,
                                             stdout=subprocess.PIPE).stdout)
            load, rate, tokens = library(model, documents, size)
            assert tokens == ours['tokens'], (tokens, ours)
            rows.append((ours['load_ms'], load, ours['encode_mb_s'], rate))
    mine, theirs, fast, slow = (statistics.median(column) for column in zip(*rows))
    ratios = [row[2] / row[3] for row in rows]
    print(f'{len(documents)} texts, {size / 1e6:.2f} MB, {tokens} tokens, {ROUNDS} rounds: load '
          f'{mine:.0f} ms ({theirs:.0f} ms), encode {fast:.1f} MB/s ({slow:.2f} MB/s), '
          f'{min(ratios):.1f} to {max(ratios):.1f} times')


main()
