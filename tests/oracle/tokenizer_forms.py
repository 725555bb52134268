#!/usr/bin/env python3
r"""tokenizer_forms.py - small tokenizers of every form we read, trained here on our own sentences.

  tokenizer_forms.py record > tests/models/tokenizer_forms.json
      {"texts": [...], "tokenizers": [{"name", "json", "cases": [[text, ids, framed, back]]}],
       "bytes": [[hex, text]]}: what the `tokenizers` library makes of our strings, and what Python
      makes of broken UTF-8. `text` is a place in the list; `back` is decoded without special
      tokens; `framed` and `back` are 0 where they equal the ids and the text. `back` is -1 where
      an added token has letters of the byte alphabet: the library decodes its "\u00e9" as the byte
      E9, a broken character; we keep the letter.
  tokenizer_forms.py gpt2 DIRECTORY FILE...
      a GPT-2 style tokenizer of 8,000 tokens trained on text files, for tokenizer_compare.py
"""
import json
import os
import random
import sys

from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers,
                        pre_tokenizers, processors, trainers)

import tokenizer_strings

QWEN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
        r"|\s*[\r\n]+|\s+(?!\S)|\s+")
LLAMA3 = QWEN.replace(r'|\p{N}|', r'|\p{N}{1,3}|')
BEHAVIORS = ('isolated', 'removed', 'merged_with_previous', 'merged_with_next', 'contiguous')
PLAIN = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)


ALL = pre_tokenizers.ByteLevel.alphabet()
# Those of plain letters and of U+3000: what the many small forms are tried on.
FEW = sorted({c for part in PLAIN.pre_tokenize_str(
    ''.join(map(chr, range(32, 127))) + '\n\t\u3000') for c in part[0]})


def train(pre, texts, size, normalizer=None, alphabet=ALL):
    if alphabet is FEW:
        texts = SHORT * 3
    tokenizer = Tokenizer(models.BPE())
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=size, initial_alphabet=alphabet,
        show_progress=False))
    return tokenizer


SHORT = [
    '', 'a <tool> b', '<tool><x>', '<|end|>  <|end|>', ' \n<|end|>\u3000 x', 'x<|end|>y',
    '_<|end|>-<|end|>.', 'bcd bcde zbcd zzz', ' ab  abc ab', 'ab', '12 345 6789', 'xxaxx',
    'nanana. no. ', 'a' * 90, 'an en in 12345 un', ' 12 an. . 34xx56 ', 'The end. A banana and 7.',
    '\u3000', "it's 1234. x"]


def split(pattern, behavior='isolated', invert=False):
    return pre_tokenizers.Sequence([
        pre_tokenizers.Split(pattern, behavior, invert), PLAIN])


def edit(tokenizer, change):
    """The JSON after `change`, read back by the library first."""
    root = json.loads(tokenizer.to_str())
    change(root)
    return Tokenizer.from_str(json.dumps(root))


def added(tokenizer, special, **options):
    tokenizer.add_tokens([AddedToken('<tool>', normalized=False),
                          AddedToken('<tool><x>', normalized=False)])
    tokenizer.add_special_tokens([AddedToken(special, normalized=False, **options)])
    return tokenizer


def forms():
    texts = tokenizer_strings.SAMPLES + tokenizer_strings.CODE
    size = 420
    yield 'gpt2', added(train(pre_tokenizers.ByteLevel(add_prefix_space=False), texts, size),
                        '<|endoftext|>')
    yield 'prefix space', train(pre_tokenizers.ByteLevel(add_prefix_space=True), texts, size)
    yield 'smollm', added(train(pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False)]), texts, size), '<|im_end|>')
    yield 'digit runs', train(pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=False), PLAIN]), texts, 300)
    yield 'qwen', added(train(split(Regex(QWEN)), texts, size, normalizers.NFC()), '<|im_end|>')
    yield 'normalizers', train(PLAIN, texts, 300, normalizers.Sequence([normalizers.NFC()]))

    def ignore(root):
        root['model']['ignore_merges'] = True
        # no merge makes them
        root['model']['vocab'].update({'\u0120worlds': size, 'bcd': size + 1})
    llama = added(edit(train(split(Regex(LLAMA3)), texts, size), ignore), '<|begin_of_text|>')
    ids = [(name, llama.token_to_id(name)) for name in ('<|begin_of_text|>', '<tool>', '<tool><x>')]
    llama.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=True), processors.TemplateProcessing(
            single='<|begin_of_text|> <tool> $A <tool> <tool><x>', pair='$A $B',
            special_tokens=ids)])
    yield 'llama3', llama
    yield 'unreachable', edit(
        train(PLAIN, SHORT, 120, alphabet=FEW),
        lambda root: root['model']['vocab'].update({'zbc': 120, 'Ġzzz': 121}))

    def old_merges(root):
        root['model']['merges'] = [' '.join(pair) for pair in root['model']['merges']]
        root['model']['unk_token'] = '!'
        del root['model']['type']
    yield 'old merges', edit(train(PLAIN, texts, 320), old_merges)
    for behavior in BEHAVIORS:
        for invert in (False, True):
            yield f'{behavior} {invert}', train(
                split(Regex(r' |\d{2}|[aeiou](?=n)'), behavior, invert), SHORT, 120,
                alphabet=FEW)
        yield f'{behavior} empty', train(split(Regex(r'x*'), behavior), SHORT, 110,
                                          alphabet=FEW)
    yield 'string', train(split('. ', 'merged_with_previous'), SHORT, 120, alphabet=FEW)
    for name in ('lstrip', 'rstrip', 'single_word'):
        yield name, added(train(PLAIN, SHORT, 120, alphabet=FEW), '<|end|>',
                          **{name: True})
    both = train(split(Regex(QWEN)), texts, 300, normalizers.NFC())
    both.add_tokens([AddedToken('caf\u00e9', normalized=True),
                     AddedToken('e\u0301e', normalized=True),
                     AddedToken('ab', normalized=True, single_word=True, lstrip=True,
                                rstrip=True),
                     AddedToken('caf', normalized=False)])
    yield 'normalized', both


def strings(rng, name):
    if name in SMALL:
        return SHORT
    texts = SHORT + tokenizer_strings.SAMPLES + [
        'hello worlds bcd bcde worlds', 'cafe\u0301 caf\u00e9', '\u00e9e e\u0301e', '<|im_end|>\n',
        '<|begin_of_text|>q', '\u0301\u0316', '\r\n x\r\n', '\u00e9<|end|>']
    if name in WIDE:
        texts = texts + [tokenizer_strings.made(rng) for _ in range(12)]
    else:
        texts = SHORT + texts[len(SHORT)::4]
    return [t for t in dict.fromkeys(texts) if len(t) < 120 and '\0' not in t]


WIDE = ('gpt2', 'smollm', 'qwen', 'llama3', 'normalized')
SMALL = [f'{behavior} {kind}' for behavior in BEHAVIORS for kind in ('False', 'True', 'empty')] + [
    'string', 'lstrip', 'rstrip', 'single_word', 'unreachable']


def record():
    rng = random.Random(7)
    out, pool = [], {}
    for name, tokenizer in forms():
        cases = []
        for text in strings(rng, name):
            ids = tokenizer.encode(text, add_special_tokens=False).ids
            framed, back = tokenizer.encode(text).ids, tokenizer.decode(ids)
            if name == 'normalized':
                back = -1
            cases.append([pool.setdefault(text, len(pool)), ids, 0 if framed == ids else framed,
                          0 if back == text else back])
        out.append({'name': name, 'json': json.dumps(
            json.loads(tokenizer.to_str()), ensure_ascii=False, separators=(',', ':')),
            'cases': cases})
    broken = [bytes.fromhex(h) for h in (
        '80', 'c3', 'e28280', 'e282', 'f09f98', 'f09f9880', 'eda080', 'f4908080', 'c0af', 'fffe41',
        'e28241e282ac', '41c328', 'f0288cbc')]
    broken += [rng.randbytes(rng.randint(1, 12)).replace(b'\0', b'\x80')
               for _ in range(40)]
    json.dump({'texts': list(pool), 'tokenizers': out, 'bytes': [
        [b.hex(), b.decode('utf-8', errors='replace')] for b in broken]},
        sys.stdout, ensure_ascii=False, separators=(',', ':'))


def gpt2(directory, paths):
    texts = []
    for path in paths:
        with open(path, encoding='utf-8', errors='replace') as file:
            texts += file.read().splitlines(keepends=True)
    tokenizer = added(train(pre_tokenizers.ByteLevel(add_prefix_space=False),
                            texts + tokenizer_strings.SAMPLES * 20, 8000), '<|endoftext|>')
    os.makedirs(directory, exist_ok=True)
    tokenizer.save(os.path.join(directory, 'tokenizer.json'))


if __name__ == '__main__':
    if sys.argv[1] == 'record':
        record()
    else:
        gpt2(sys.argv[2], sys.argv[3:])
