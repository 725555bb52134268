#!/usr/bin/env python3
"""tokenizer_shared.py SHARED - the numbers that test_tokenizer_shared.c compares with.

For the `tokenizers` library on the Qwen3 tokenizer: tokens and FNV-1a of the ids (as 32-bit
little-endian words) of every text of GSM8K's test questions and of MATH-500's problems.
"""
import json
import os
import struct
import sys

from tokenizers import Tokenizer


def main():
    data = os.path.join(sys.argv[1], 'data')
    one = Tokenizer.from_file(os.path.join(data, 'tokenizers/qwen3/tokenizer.json'))
    for name, key in (('gsm8k/test.jsonl', 'question'), ('eval/math500.jsonl', 'problem')):
        digest, count, rows = 0xcbf29ce484222325, 0, 0
        with open(os.path.join(data, name), encoding='utf-8') as file:
            for line in file:
                ids = one.encode(json.loads(line)[key], add_special_tokens=False).ids
                rows += 1
                count += len(ids)
                for byte in struct.pack(f'<{len(ids)}I', *ids):
                    digest = (digest ^ byte) * 0x100000001b3 % 2**64
        print(f'{{ "data/{name}", "{key}", {rows}, {count}, 0x{digest:016x}u }},')


main()
