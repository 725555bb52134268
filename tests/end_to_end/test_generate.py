#!/usr/bin/env python3
"""test_generate.py - `generate` in its fixed form, on the warmed tiny policy."""
import json
import math

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


def test_a_seed_decides_and_stops_cut(world):
    line = [{'prompt': PROMPTS[0]}]
    words = ('--temperature', '1', '--max-tokens', '60')
    first = generate(world, line, *words, '--seed', '1', '--samples', '4')
    expect_equal(len(first), 4, 'samples')
    expect_equal(first, generate(world, line, *words, '--seed', '1', '--samples', '4'), 'seed 1')
    expect(first != generate(world, line, *words, '--seed', '2', '--samples', '4'), 'seed 2')
    for answer in generate(world, line, *words, '--seed', '1', '--stop', '='):
        expect('=' not in answer['text'], answer)


def test_bad_input_is_named(world):
    result = generate(world, [{'bad': 1}], code=3)
    expect('in.jsonl:1' in result.err and 'prompt' in result.err, result)
    world.call('generate', '--model', 'none', 'in.jsonl', code=3)


if __name__ == '__main__':
    main()
