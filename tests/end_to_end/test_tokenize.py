#!/usr/bin/env python3
"""test_tokenize.py - `tokenize` and `detokenize` in their fixed forms, on the tiny policy's
tokenizer, which spells digits, operators and a few words, and on one of every byte."""
import json

from harness import byte_tokenizer, expect, expect_equal, main

TEXTS = ('12+(3*4)=', '\\boxed{7}', '', '5\n\n6')


def lines_of(result):
    return [json.loads(line) for line in result.out.splitlines()]


def ask(world, command, lines, *words, model='warm', code=0):
    text = ''.join(json.dumps(line) + '\n' for line in lines)
    return world.call(command, '--model', model, world.write('in.jsonl', text), *words, code=code)


def bytes_model(world):
    world.write('bytes/tokenizer.json', json.dumps(byte_tokenizer()))
    return 'bytes'


def test_texts_become_ids_and_ids_the_texts_again(world):
    asked = ask(world, 'tokenize', [{'text': text} for text in TEXTS])
    ids = lines_of(asked)
    expect_equal([list(line) for line in ids], [['ids']] * len(TEXTS), 'keys')
    expect_equal(ids[2]['ids'], [], 'no text')
    expect(all(isinstance(i, int) for line in ids for i in line['ids']), ids)
    texts = lines_of(ask(world, 'detokenize', ids))
    expect_equal(texts, [{'text': text} for text in TEXTS], 'texts')


def test_every_byte_is_kept_and_special_tokens_are_left_out_on_request(world):
    model = bytes_model(world)
    text = 'é\x00"\\ 漢字 \U0001f600\t<|im_start|>a<|im_end|>'
    ids = lines_of(ask(world, 'tokenize', [{'text': text}], model=model))
    expect_equal(ids[0]['ids'], [*text.split('<')[0].encode(), 256, 97, 257], 'ids')
    expect_equal(lines_of(ask(world, 'detokenize', ids, model=model)), [{'text': text}], 'text')
    plain = lines_of(ask(world, 'detokenize', ids, '--skip-special', model=model))
    expect_equal(plain, [{'text': text.split('<')[0] + 'a'}], 'without special tokens')
    half = lines_of(ask(world, 'detokenize', [{'ids': [0xe6, 0xbc, 65, 0xff]}], model=model))
    expect_equal(half, [{'text': '\ufffdA\ufffd'}], 'broken characters')


def test_the_frame_is_added_on_request(world):
    tokenizer = byte_tokenizer()
    tokenizer['post_processor'] = {
        'type': 'TemplateProcessing', 'pair': [],
        'single': [{'SpecialToken': {'id': '<|im_start|>', 'type_id': 0}},
                   {'Sequence': {'id': 'A', 'type_id': 0}}],
        'special_tokens': {'<|im_start|>': {'id': '<|im_start|>', 'ids': [256],
                                            'tokens': ['<|im_start|>']}}}
    world.write('framed/tokenizer.json', json.dumps(tokenizer))
    for words, wanted in (((), [97]), (('--framed',), [256, 97])):
        out = lines_of(ask(world, 'tokenize', [{'text': 'a'}], *words, model='framed'))
        expect_equal(out, [{'ids': wanted}], words)


def test_what_no_token_spells_is_left_out_and_said(world):
    result = ask(world, 'tokenize', [{'text': '1é2'}, {'text': '12'}])
    one, two = lines_of(result)
    expect_equal(one, two, 'as the tokenizers library has it')
    expect('1 texts have bytes that no token' in result.err, result.err)


def test_errors_say_file_line_and_what(world):
    good = {'text': '1', 'ids': [1]}
    for command, line, words in (('tokenize', {'ids': [1]}, '"text" is missing'),
                                 ('tokenize', {'text': 7}, '"text" is not a text'),
                                 ('tokenize', [1], 'not an object'),
                                 ('detokenize', {'text': '1'}, '"ids" is missing'),
                                 ('detokenize', {'ids': '1'}, 'is not a list of token ids'),
                                 ('detokenize', {'ids': [1, -1]}, '"ids"[1] is not a token id'),
                                 ('detokenize', {'ids': [10 ** 6]}, 'the vocabulary has')):
        result = ask(world, command, [good, line, good], code=3)
        expect_equal(len(result.out.splitlines()), 1, 'lines before it are answered')
        expect('in.jsonl:2: ' in result.err and words in result.err, result.err)
    for command in ('tokenize', 'detokenize'):
        world.call(command, code=2)
        expect('nowhere' in world.call(command, '--model', 'nowhere', code=3).err, command)
        expect('none.jsonl' in world.call(command, '--model', 'warm', 'none.jsonl', code=3).err,
               command)


if __name__ == '__main__':
    main()
