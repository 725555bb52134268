#!/usr/bin/env python3
"""tokenizer_compare.py PROGRAM MODEL... [--count N] [--seed S] [--shared DIR]

Ids of `PROGRAM tokenize` and the text of `PROGRAM detokenize` beside those of the `tokenizers`
library, on N strings (tokenizer_strings.py). MODEL is a directory with tokenizer.json, a .gguf
(its tokenizer.json is written here, from the metadata alone), or qwen.tiktoken (beside tiktoken).
Characters that one side knows and the other does not (Unicode versions) are counted apart and
listed: a string with one of them may differ, any other may not. Exit 1 on any difference.
"""
import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import unicodedata

from tokenizer_strings import everything

GPT2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
QWEN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
        r"|\s*[\r\n]+|\s+(?!\S)|\s+")


def byte_level(use_regex):
    return {'type': 'ByteLevel', 'add_prefix_space': False, 'trim_offsets': True,
            'use_regex': use_regex}


def gguf_json(path):
    """What SmolLM2's tokenizer.json says (research: ecosystem.md 2.3), from the GGUF's lists."""
    import gguf
    fields = gguf.GGUFReader(path).fields
    tokens = fields['tokenizer.ggml.tokens'].contents()
    types = fields['tokenizer.ggml.token_type'].contents()
    assert fields['tokenizer.ggml.pre'].contents() == 'smollm'
    added = [{'id': i, 'content': token, 'single_word': False, 'lstrip': False, 'rstrip': False,
              'normalized': False, 'special': kind == 3}
             for i, (token, kind) in enumerate(zip(tokens, types)) if kind in (3, 4)]
    return json.dumps({
        'version': '1.0', 'truncation': None, 'padding': None, 'added_tokens': added,
        'normalizer': None, 'post_processor': None, 'decoder': byte_level(True),
        'pre_tokenizer': {'type': 'Sequence', 'pretokenizers': [
            {'type': 'Digits', 'individual_digits': True}, byte_level(True)]},
        'model': {'type': 'BPE', 'dropout': None, 'unk_token': None,
                  'continuing_subword_prefix': None, 'end_of_word_suffix': None, 'fuse_unk': False,
                  'byte_fallback': False, 'ignore_merges': False,
                  'vocab': {token: i for i, token in enumerate(tokens)},
                  'merges': fields['tokenizer.ggml.merges'].contents()}})


class Library:
    """The `tokenizers` library."""
    def __init__(self, text):
        from tokenizers import Tokenizer
        self.one = Tokenizer.from_str(text)
        self.nfc = self.one.normalizer is not None

    def encode(self, texts):
        return [item.ids for item in self.one.encode_batch(texts, add_special_tokens=False)]

    def decode(self, lists):
        return self.one.decode_batch(lists, skip_special_tokens=False)


class Tiktoken:
    """The `tiktoken` library, as Qwen's own code calls it: form C first."""
    def __init__(self, path):
        import tiktoken
        from tiktoken.load import load_tiktoken_bpe
        ranks = load_tiktoken_bpe(path)
        names = ['<|endoftext|>', '<|im_start|>', '<|im_end|>'] + [
            f'<|extra_{i}|>' for i in range(205)]
        self.one = tiktoken.Encoding(
            'qwen', pat_str=QWEN, mergeable_ranks=ranks,
            special_tokens={name: len(ranks) + i for i, name in enumerate(names)})
        self.nfc = True

    def encode(self, texts):
        return [self.one.encode(unicodedata.normalize('NFC', text), allowed_special='all')
                for text in texts]

    def decode(self, lists):
        return [self.one.decode(ids) for ids in lists]


def reference(model):
    if model.endswith('.gguf'):
        return Library(gguf_json(model))
    if model.endswith('.tiktoken'):
        return Tiktoken(model)
    with open(os.path.join(model, 'tokenizer.json'), encoding='utf-8') as file:
        return Library(file.read())


def ours(program, command, model, key, items):
    with tempfile.NamedTemporaryFile('w', suffix='.jsonl', encoding='utf-8') as file:
        for item in items:
            file.write(json.dumps({key: item}) + '\n')
        file.flush()
        result = subprocess.run([program, command, '--model', model, file.name],
                                stdout=subprocess.PIPE, check=True)
    return [json.loads(line) for line in result.stdout.decode('utf-8').split('\n') if line]


def ranges(characters):
    spans = []
    for point in sorted(map(ord, characters)):
        if spans and spans[-1][1] == point - 1:
            spans[-1][1] = point
        else:
            spans.append([point, point])
    return ' '.join(f'{a:04X}' if a == b else f'{a:04X}-{b:04X}' for a, b in spans)


def known(program, model, library):
    """Characters that the two sides class differently: each beside a letter, a digit, accents and
    after an apostrophe."""
    every = [chr(c) for c in range(0x80, 0x110000) if not 0xd800 <= c < 0xe000]
    frame = "a{0}b 1{0}.\n'{0}\na\u0301{0}\u0316\na{0}\u0301\u0316\n\u0915{0}"
    texts = [frame.format(c) for c in every]
    found = set()
    for c, mine, theirs in zip(every, ours(program, 'tokenize', model, 'text', texts),
                               library.encode(texts)):
        if mine['ids'] != theirs:
            found.add(c)
    return found


def compare(program, model, texts):
    library = reference(model)
    apart = known(program, model, library)
    print(f'{model}: {len(apart)} characters of other Unicode versions:', ranges(apart))
    mine = [row['ids'] for row in ours(program, 'tokenize', model, 'text', texts)]
    theirs = library.encode(texts)
    decoded = [row['text'] for row in ours(program, 'detokenize', model, 'ids', theirs)]
    expected = library.decode(theirs)
    wrong, excused, lossy, total = 0, 0, 0, 0
    for text, a, b, back, want in zip(texts, mine, theirs, decoded, expected):
        total += len(b)
        if a == b and back == want:
            form = unicodedata.normalize('NFC', text) if library.nfc else text
            lossy += back != form and not apart.intersection(text)
        elif apart.intersection(text):
            excused += 1
        else:
            wrong += 1
            if wrong <= 10:
                print(f'  differs: {text[:80]!r}\n    {a[:24]}\n    {b[:24]}\n    {back[:60]!r}\n'
                      f'    {want[:60]!r}')
    print(f'{model}: {len(texts)} strings, {total} tokens: {wrong} differences, {excused} with '
          f'such characters, {lossy} where decode(encode(x)) is not x or its form C on both sides')
    return wrong


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('program')
    parser.add_argument('model', nargs='+')
    parser.add_argument('--count', type=int, default=120000)
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--shared', default=os.environ.get('SCOPE_SHARED'))
    args = parser.parse_args()
    texts = everything(args.shared, args.count, random.Random(args.seed))
    sys.exit(1 if sum(compare(args.program, model, texts) for model in args.model) else 0)


if __name__ == '__main__':
    main()
