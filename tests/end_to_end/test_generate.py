#!/usr/bin/env python3
"""test_generate.py - `generate` in its fixed form, on the warmed tiny policy."""
import json
import math
import subprocess

from harness import expect, expect_equal, main

PROMPTS = ('(((((2*6)*6)+4)+6)-6)=', '((((9+8)-6)-2)-8)*9=')


def generate(world, lines, *words, code=0):
    path = world.write('in.jsonl', ''.join(json.dumps(line) + '\n' for line in lines))
    result = world.call('generate', '--model', 'warm', path, *words, code=code)
    return [json.loads(line) for line in result.out.splitlines()] if code == 0 else result


def test_greedy_is_repeatable_and_prompts_equal_their_ids(world):
    words = ('--temperature', '0', '--max-tokens', '40')
    texts = generate(world, [{'prompt': prompt} for prompt in PROMPTS], *words)
    tokens = world.write('t.jsonl', ''.join(
        json.dumps({'text': prompt}) + '\n' for prompt in PROMPTS))
    ids = [json.loads(line) for line in
           world.call('tokenize', '--model', 'warm', tokens).out.splitlines()]
    again = generate(world, ids, *words)
    for one, two in zip(texts, again):
        expect_equal(one['ids'], two['ids'], 'ids')
        expect_equal(len(one['logprobs']), len(one['ids']), 'log-probabilities')
        expect(all(p <= 0 and math.isfinite(p) for p in one['logprobs']), one)
        expect(one['finish'] in ('stop', 'length'), one)


def test_its_log_probabilities_are_those_of_score(world):
    given, = generate(world, [{'prompt': PROMPTS[0]}], '--temperature', '0', '--max-tokens', '20')
    path = world.write('t.jsonl', json.dumps({'text': PROMPTS[0]}) + '\n')
    prompt = json.loads(world.call('tokenize', '--model', 'warm', path).out)['ids']
    path = world.write('s.jsonl', json.dumps({'ids': prompt + given['ids']}) + '\n')
    scored = json.loads(world.call('score', '--model', 'warm', path).out)['logprobs']
    for one, two in zip(given['logprobs'], scored[len(prompt):]):
        expect(abs(one - two) < 1e-3, f'{one} of generate, {two} of score')


def test_a_seed_decides(world):
    line = [{'prompt': PROMPTS[0]}]
    words = ('--temperature', '1', '--max-tokens', '60')
    first = generate(world, line, *words, '--seed', '1', '--samples', '4')
    expect_equal(len(first), 4, 'samples')
    expect_equal(first, generate(world, line, *words, '--seed', '1', '--samples', '4'), 'seed 1')
    expect(first != generate(world, line, *words, '--seed', '2', '--samples', '4'), 'seed 2')


def spelled(world, ids):
    path = world.write('d.jsonl', ''.join(json.dumps({'ids': one}) + '\n' for one in ids))
    out = world.call('detokenize', '--skip-special', '--model', 'warm', path).out
    return [json.loads(line)['text'] for line in out.splitlines()]


def test_decoding_ends_where_the_stop_string_is_complete(world):
    """Each stop string is a piece of what is written without one; the tokens are the same."""
    words = ('--temperature', '1', '--max-tokens', '60', '--seed', '1', '--samples', '3')
    lines = [{'prompt': prompt} for prompt in PROMPTS]
    whole = generate(world, lines, *words)
    for begin, end in ((4, 5), (3, 7), (9, 14)):
        stop = spelled(world, [whole[0]['ids'][begin:end]])[0]
        for one, cut in zip(whole, generate(world, lines, *words, '--stop', stop)):
            full, = spelled(world, [one['ids']])
            if stop not in full:
                expect_equal(cut, one, f'{stop!r} never comes')
                continue
            count = len(cut['ids'])
            expect_equal(cut['ids'], one['ids'][:count], 'ids')
            expect_equal(cut['logprobs'], one['logprobs'][:count], 'log-probabilities')
            kept, before = spelled(world, [cut['ids'], cut['ids'][:-1]])
            expect(stop in kept and stop not in before, (stop, kept))
            expect_equal(cut['text'], full[:full.index(stop)], 'text')
            expect_equal(cut['finish'], 'stop', 'finish')


def test_of_several_stop_strings_the_first_to_come_ends(world):
    words = ('--temperature', '1', '--max-tokens', '60', '--seed', '1')
    lines = [{'prompt': prompt} for prompt in PROMPTS]
    whole = generate(world, lines, *words)
    early, late = spelled(world, [whole[0]['ids'][3:5], whole[0]['ids'][8:10]])
    both = json.dumps([late, early, 'never\n'])
    for one, cut in zip(whole, generate(world, lines, *words, '--stop', both)):
        full, = spelled(world, [one['ids']])
        ends = [full.index(stop) for stop in (early, late) if stop in full]
        expect_equal(cut['text'], full[:min(ends, default=len(full))], 'text')


def test_a_bad_list_of_stop_strings_is_said(world):
    for bad in ('[]', '["a", 1]', '["a", ""]', json.dumps(['a'] * 17)):
        result = generate(world, [{'prompt': PROMPTS[0]}], '--stop', bad, code=2)
        expect('--stop: a JSON list wants 1 to 16 texts' in result.err, result.err)


def test_the_form_of_an_answer_is_fixed(world):
    one, = generate(world, [{'ids': [1, 2, 3]}], '--max-tokens', '3')
    expect_equal(list(one), ['ids', 'text', 'logprobs', 'finish'], 'keys')
    expect_equal(one['text'], spelled(world, [one['ids']])[0], 'text')
    expect_equal((len(one['ids']), one['finish']), (3, 'length'), 'cut by --max-tokens')
    bare, = generate(world, [{'ids': [1, 2, 3]}], '--max-tokens', '3', '--logprobs=false')
    del one['logprobs']
    expect_equal(bare, one, 'without log-probabilities')


def test_who_asks_line_by_line_is_answered_line_by_line(world):
    process = world.start('generate', '--model', 'warm', '--max-tokens', '5',
                          stdin=subprocess.PIPE)
    for prompt in PROMPTS:
        process.stdin.write(json.dumps({'prompt': prompt}) + '\n')
        process.stdin.flush()
        expect('ids' in json.loads(process.stdout.readline()), 'an answer')
    expect_equal(world.finish(process).code, 0, 'exit code')


def test_what_no_token_spells_is_left_out_and_said(world):
    plain, = generate(world, [{'prompt': PROMPTS[0]}], '--max-tokens', '8')
    path = world.write('in.jsonl', json.dumps({'prompt': PROMPTS[0] + '\x04é'}) + '\n')
    result = world.call('generate', '--model', 'warm', path, '--max-tokens', '8')
    expect_equal(json.loads(result.out), plain, 'as the tokenizers library reads it')
    expect('1 texts have bytes that no token' in result.err, result.err)
    line = {'prompt': PROMPTS[0] + 'é', 'completion': '1'}
    path = world.write('s.jsonl', json.dumps(line) + '\n')
    result = world.call('score', '--model', 'warm', path)
    expect('1 texts have bytes that no token' in result.err, result.err)


def test_bad_input_is_named(world):
    result = generate(world, [{'bad': 1}], code=3)
    expect('in.jsonl:1' in result.err and 'prompt' in result.err, result)
    world.call('generate', '--model', 'none', 'in.jsonl', code=3)


if __name__ == '__main__':
    main()
