#!/usr/bin/env python3
"""test_teacher.py - a teacher that is dead, dies, errs or lies does not take the run with it."""
import json
import os
import random

from harness import closed_port, expect, expect_accounted, expect_equal, main

CANARY = 'canary-4f1c2b7e9a-key'
# Retries and the circuit in milliseconds: a run of a second sees all of it.
QUICK = {'teacher.backoff': '5ms', 'teacher.max_retries': 1, 'teacher.circuit_failures': 3,
         'teacher.circuit_reset': '100ms', 'teacher.retry_after_max': '20ms'}


def last(world, name='run'):
    return world.metrics(name)[-1]


def expect_done(world, steps, name='run'):
    status = world.status(name)
    expect_equal((status['state'], status['steps']), ('done', steps), 'status')
    expect_accounted(status['groups'])
    expect_equal(status['groups']['failed'], 0, 'failed groups')
    return status


def expect_nowhere(world, secret, result):
    """Neither in any file below the test's directory nor in what was printed."""
    expect(secret not in result.out + result.err, 'the key was printed')
    for directory, _, files in os.walk(world.directory):
        for name in files:
            with open(os.path.join(directory, name), 'rb') as file:
                expect(secret.encode() not in file.read(), f'the key is in {name}')


def test_dead_from_the_start(world):
    world.train(sets={**QUICK, 'teacher.url': f'http://127.0.0.1:{closed_port()}/v1'})
    status = expect_done(world, 6)
    expect(status['teacher']['degraded'] > 0, status['teacher'])
    expect_equal(status['teacher']['salvaged'], 0, 'salvaged')
    expect(last(world)['teacher/circuit_open'] == 1, 'the circuit is not open')
    paths = {line['path'] for line in world.lines('runs', 'run', 'rollouts', 'index.jsonl')}
    expect(paths <= {'plain', 'degraded', 'kept'} and 'degraded' in paths, paths)


def test_dead_teacher_trains_like_grpo(world):
    """A degraded group is a plain group: the same steps as if nobody had been asked."""
    world.train(name='dead', sets={**QUICK, 'teacher.url': f'http://127.0.0.1:{closed_port()}/v1'})
    world.train(name='grpo', sets={'scope.arm': 'grpo'})
    expect(world.weights(6, 'dead') == world.weights(6, 'grpo'), 'weights differ')


def test_dies_half_way(world):
    teacher, url = world.teacher('--latency', 'constant:5ms')
    run = world.start_training('--max-steps', '40', sets={
        **QUICK, 'teacher.url': url, 'eval.every': 20, 'checkpoint.every': 20})
    world.wait_for_step(run, 5)
    teacher.kill()
    result = world.finish(run)
    expect_equal(result.code, 0, f'exit code of {result}')
    counts = expect_done(world, 40)['teacher']
    expect(counts['salvaged'] > 0 and counts['degraded'] > 0, counts)


def test_comes_back(world):
    first, url = world.teacher('--latency', 'constant:5ms')
    run = world.start_training('--max-steps', '120', sets={
        **QUICK, 'teacher.url': url, 'eval.every': 0, 'checkpoint.every': 0})
    world.wait_for_step(run, 3)
    first.kill()
    first.wait()
    world.wait_for_step(run, 10)
    world.start('teacher', '--listen', url[len('http://'):-len('/v1')])
    result = world.finish(run)
    expect_equal(result.code, 0, f'exit code of {result}')
    expect_done(world, 120)
    lines = world.metrics()
    expect(any(line['scope/degraded'] > 0 for line in lines), 'nobody missed it')
    expect(lines[-1]['scope/repaired'] > 0, 'nobody saw it come back')


def test_stop_when_it_is_down(world):
    port = closed_port()
    result = world.train(code=1, sets={**QUICK, 'teacher.url': f'http://127.0.0.1:{port}/v1',
                                       'teacher.on_down': 'stop'})
    expect('teacher' in result.err.splitlines()[-1] and 'error:' in result.err, result)
    expect_equal(world.status()['state'], 'failed', 'state')
    expect_accounted(world.status()['groups'])


def test_every_fault_is_survived(world):
    faults = ('busy', 'error', 'unavailable', 'cut', 'garbage', 'wrong', 'refusal', 'keep_alive',
              'error_chunk', 'length', 'empty')
    world.train('--max-steps', '40', sets={
        **QUICK, 'teacher.circuit_failures': 20, 'eval.every': 0, 'checkpoint.every': 0,
        'solver.faults': '"' + ','.join(f'{fault}=0.06' for fault in faults) + '"'})
    counts = expect_done(world, 40)['teacher']
    expect(counts['salvaged'] > 0 and counts['rejected'] > 0, counts)
    line = last(world)
    for what in ('busy', 'malformed', 'server', 'overloaded', 'net'):
        expect(line[f'teacher/errors_{what}'] > 0, f'no {what} among {line}')


def test_always_wrong_teaches_nothing(world):
    said = json.loads(world.train('--json', sets={**QUICK, 'solver.faults': 'wrong=1'}).out)
    counts = expect_done(world, 6)['teacher']
    expect(counts['rejected'] > 0, counts)
    expect_equal(said['rejected'], counts['rejected'], 'rejected in the result and in status.json')
    expect_equal(counts['salvaged'], 0, 'salvaged')


def test_silent_teacher_is_given_up_at_its_deadline(world):
    world.train('--max-steps', '2', sets={**QUICK, 'solver.faults': 'hang=1',
                                          'teacher.deadline': '300ms',
                                          'teacher.idle_timeout': '100ms'})
    expect(expect_done(world, 2)['teacher']['degraded'] > 0, 'nothing was degraded')


def test_key_is_sent_and_never_written(world):
    environment = {'SCOPE_TEST_KEY': CANARY}
    _, url = world.teacher('--api-key-env', 'SCOPE_TEST_KEY', environment=environment)
    result = world.train('--json', environment=environment, sets={
        'teacher.url': url, 'teacher.api_key_env': 'SCOPE_TEST_KEY'})
    expect(expect_done(world, 6)['teacher']['salvaged'] > 0, 'it was not let in')
    expect_nowhere(world, CANARY, result)


def test_refused_key_is_named_not_shown(world):
    _, url = world.teacher('--api-key-env', 'SCOPE_TEST_KEY',
                           environment={'SCOPE_TEST_KEY': 'another'})
    result = world.train(environment={'SCOPE_TEST_KEY': CANARY}, sets={
        'teacher.url': url, 'teacher.api_key_env': 'SCOPE_TEST_KEY'})
    expect_equal(expect_done(world, 6)['teacher']['salvaged'], 0, 'salvaged')
    expect('401' in result.err, result)
    expect_nowhere(world, CANARY, result)


def test_missing_key_is_named(world):
    result = world.train(code=3, sets={'teacher.url': 'http://127.0.0.1:9/v1',
                                       'teacher.api_key_env': 'SCOPE_NO_SUCH_KEY'})
    expect('"SCOPE_NO_SUCH_KEY": that environment variable is not set' in result.err, result)


def own_solutions(count=64):
    """Rows of JSON Lines: problems as of builtin:chain, solved with one step more than it takes."""
    rng = random.Random(7)
    while count > 0:
        values, text, steps = [rng.randint(1, 9)], '', []
        for _ in range(rng.randint(2, 4)):
            operator, operand = rng.choice('+-*'), rng.randint(2, 9)
            value = eval(f'{values[-1]}{operator}{operand}')  # our own digits and operators
            text = f'({text}){operator}{operand}' if text else f'{values[0]}{operator}{operand}'
            steps.append(f'{values[-1]}{operator}{operand}={value}')
            values.append(value)
        if not all(0 <= value <= 99 for value in values):
            continue
        steps += [f'{values[-1]}+0={values[-1]}', f'\\boxed{{{values[-1]}}}']
        yield {'problem': text + '=', 'answer': values[-1], 'solution': '\n\n'.join(steps)}
        count -= 1


def test_a_data_set_teaches_its_own_solutions(world):
    world.write('own.jsonl', ''.join(json.dumps(row) + '\n' for row in own_solutions()))
    for name, sets in (('spawned', {}), ('served', {'teacher.url': world.teacher(
            '--data', 'own.jsonl', '--latency', 'constant:2ms')[1]})):
        result = world.train('--max-steps', '12', name=name, sets={
            **QUICK, 'data.train': 'own.jsonl', 'model.path': 'warm', 'warmup.path': '""',
            'eval.every': 0, 'checkpoint.every': 0, **sets})
        counts = expect_done(world, 12, name)['teacher']
        expect(counts['salvaged'] > 0, counts)
        stream = world.bytes_of('runs', name, 'rollouts', 'stream.jsonl')
        expect(b'+0=' in stream, 'no suffix is out of the data set')
        own = "builtin (the data's own solutions), http://127.0.0.1:" in result.err
        expect_equal(own, name == 'spawned', f'{name}: the teacher is ours: {result.err}')


def test_a_teacher_without_solutions_says_so(world):
    world.write('bare.jsonl', '{"question":"Who?","answer":"I"}\n')
    for data, words in (('bare.jsonl', 'no worked solutions'), ('none.jsonl', 'cannot open')):
        result = world.call('teacher', '--listen', '127.0.0.1:0', '--data', data, code=3)
        expect(words in result.err, result)


if __name__ == '__main__':
    main()
