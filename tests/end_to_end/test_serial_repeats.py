#!/usr/bin/env python3
"""test_serial_repeats.py - strategy serial: one seed, one result, to the byte."""
import json

from harness import expect, expect_equal, main

# What a clock decides, and nothing else.
CLOCK = ('t',)
CLOCK_PREFIXES = ('time/', 'teacher/latency_')


def without_clock(line):
    return {key: value for key, value in line.items()
            if key not in CLOCK and not key.startswith(CLOCK_PREFIXES)}


def same_lines(one, other, what):
    expect_equal(len(one), len(other), f'{what}: lines')
    for left, right in zip(one, other):
        different = [key for key in {**left, **right} if left.get(key) != right.get(key)]
        expect(not different, f'{what}: {different} differ:\n{left}\n{right}')


def test_two_runs_with_one_seed_are_the_same_to_the_byte(world):
    for name in ('one', 'other'):
        world.train(name=name)
    one, other = ([without_clock(line) for line in world.metrics(name)]
                  for name in ('one', 'other'))
    same_lines(one, other, 'metrics')
    expect(json.dumps(one) == json.dumps(other), 'the metrics differ in order or form')
    expect_equal(len(one), 6, 'lines of metrics, one a step')
    expect(world.weights(6, 'one') == world.weights(6, 'other'), 'weights differ')
    for file in ('stream.jsonl', 'index.jsonl'):
        expect(world.bytes_of('runs', 'one', 'rollouts', file) ==
               world.bytes_of('runs', 'other', 'rollouts', file), f'rollouts/{file} differ')


def test_latency_of_the_teacher_changes_nothing(world):
    world.train(name='fast')
    world.train(name='slow', sets={'solver.latency': 'uniform:1ms-20ms'})
    same_lines([without_clock(line) for line in world.metrics('fast')],
               [without_clock(line) for line in world.metrics('slow')], 'metrics')
    expect(world.weights(6, 'fast') == world.weights(6, 'slow'), 'weights differ')


def test_another_seed_is_another_run(world):
    world.train('--max-steps', '2', name='one')
    # The policy is the one of the first seed: only data order and sampling differ.
    world.train('--max-steps', '2', name='other', sets={'run.seed': 4, 'warmup.path': '""'})
    expect(world.weights(2, 'one') != world.weights(2, 'other'), 'weights are the same')


def test_serial_trains_on_what_it_just_sampled(world):
    world.train()
    for line in world.metrics():
        expect_equal(line['staleness/max'], 0, f'staleness of step {line["step"]}')
        expect(abs(line['mismatch_kl']) < 1e-6, f'mismatch_kl {line["mismatch_kl"]}')


if __name__ == '__main__':
    main()
