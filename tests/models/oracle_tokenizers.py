#!/usr/bin/env python3
"""oracle_tokenizers.py TINY_JSON - records what the `tokenizers` library does.

TINY_JSON is the text of scope_tokenizer_tiny_json(); a second tokenizer with merges over all bytes
and added tokens of one prefix is trained here. Printed, to be kept as tokenizer_cases.json:
{"tokenizers": [{"json", "cases": [{"text", "ids"}]}]}. Run by hand when the built-in tokenizer
changes; the test needs only the recorded file.
"""
import json
import random
import sys

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers


def merged():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel(add_prefix_space=False, use_regex=False)
    text = ['abracadabra abacab aaaa', 'bananas and ananas ', 'naïve façade — été ',
            '\n\n12+34=46\n']
    tokenizer.train_from_iterator(text * 3, trainers.BpeTrainer(
        vocab_size=330, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    tokenizer.add_tokens([AddedToken(t, normalized=False) for t in ('<a>', '<a><b>', 'été')])
    tokenizer.add_special_tokens([AddedToken('<|end|>', normalized=False)])
    return tokenizer.to_str()


def cases(text, words, rng):
    tokenizer = Tokenizer.from_str(text)
    texts = [''] + words + [''.join(rng.choices(words, k=rng.randint(2, 12))) for _ in range(60)]
    return [{'text': t, 'ids': tokenizer.encode(t).ids} for t in texts]


def main():
    rng = random.Random(5)
    with open(sys.argv[1], encoding='utf-8') as file:
        tiny = file.read()
    tiny_words = list('0123456789+-*=()}') + ['\n\n', '\\boxed{', '<eos>', '<pad>', '(9*9)',
                                              '81+1=82']
    merged_words = ['a', 'b', 'n', 'abra', 'cadabra', 'aaaaa', 'banana', ' ', '\n\n', '12+34',
                    'naïve', 'é', 'ét', 'été', '—', '<a>', '<b>', '<a', '<a><b>', '<|end|>',
                    '日本', 'ç']
    second = merged()
    print(json.dumps({"tokenizers": [
        {'json': tiny, 'cases': cases(tiny, tiny_words, rng)},
        {'json': second, 'cases': cases(second, merged_words, rng)}]}, ensure_ascii=True, indent=1))


main()
