#!/usr/bin/env python3
"""test_resume.py - a run that was stopped goes on as if it had not been."""
import os
import shutil
import signal

from harness import expect, expect_accounted, expect_equal, main
from test_serial_repeats import same_lines, without_clock


def counted_since_the_start(line):
    """The teacher's totals begin anew with each process."""
    return {key: value for key, value in without_clock(line).items()
            if not key.startswith('teacher/')}


def steps(world, name, first, last):
    return [counted_since_the_start(line) for line in world.metrics(name)
            if first <= line['step'] <= last]


def test_resumed_run_equals_the_unbroken_one(world):
    # No evaluation at the break: one before the first step of a process is its "before".
    sets = {'eval.every': 0, 'checkpoint.every': 3}
    world.train('--max-steps', '6', name='unbroken', sets=sets)
    world.train('--max-steps', '3', name='broken', sets=sets)
    world.train('--max-steps', '6', '--resume', name='broken', sets=sets)
    expect(world.weights(6, 'unbroken') == world.weights(6, 'broken'), 'weights differ')
    same_lines(steps(world, 'unbroken', 1, 6), steps(world, 'broken', 1, 6), 'metrics')
    for file in ('first.f32', 'second.f32'):
        parts = ('checkpoints', 'step_000006', 'state', file)
        expect(world.bytes_of('runs', 'unbroken', *parts) ==
               world.bytes_of('runs', 'broken', *parts), f'{file} differs')
    expect_equal(world.lines('runs', 'unbroken', 'rollouts', 'stream.jsonl'),
                 world.lines('runs', 'broken', 'rollouts', 'stream.jsonl'), 'rollouts')
    status = world.status('broken')
    expect_equal((status['state'], status['steps']), ('done', 6), 'status')
    expect_accounted(status['groups'])


def test_interrupted_run_goes_on(world):
    run = world.start_training('--max-steps', '1000000')
    world.wait_for_step(run, 4)
    run.send_signal(signal.SIGINT)
    expect_equal(world.finish(run).code, 130, 'exit code')
    stopped = world.status()['steps']
    world.train('--max-steps', str(stopped + 2), '--resume')
    expect_equal(world.status()['steps'], stopped + 2, 'steps')
    expect_equal(world.status()['state'], 'done', 'state')
    expect_equal([line['step'] for line in world.metrics()], list(range(1, stopped + 3)),
                 'steps in metrics.jsonl')


def test_killed_run_comes_to_the_same_weights(world):
    sets = {'eval.every': 0}
    run = world.start_training('--max-steps', '1000000', sets=sets)
    world.wait_for_step(run, 5)
    run.kill()
    run.wait()
    # What was trained after the last checkpoint is trained again, on the same problems.
    world.train('--max-steps', '30', '--resume', sets=sets)
    world.train('--max-steps', '30', name='unbroken', sets=sets)
    expect(world.weights(30) == world.weights(30, 'unbroken'), 'weights differ')
    expect_accounted(world.status()['groups'])


def test_a_step_can_be_named(world):
    world.train('--max-steps', '4', sets={'checkpoint.keep': 5})
    world.train('--max-steps', '4', '--resume=2', sets={'checkpoint.keep': 5})
    expect_equal(world.status()['steps'], 4, 'steps')


def test_half_a_checkpoint_is_passed_over(world):
    world.train('--max-steps', '4')
    os.remove(world.path('runs', 'run', 'checkpoints', 'step_000004', 'COMPLETE'))
    world.train('--max-steps', '4', '--resume')
    expect_equal(world.status()['steps'], 4, 'steps')


def test_damaged_checkpoint_is_named(world):
    world.train('--max-steps', '2')
    with open(world.path('runs', 'run', 'checkpoints', 'step_000002', 'state', 'first.f32'),
              'r+b') as file:
        file.seek(1000)
        file.write(b'\xff\xff\xff')
    result = world.train('--max-steps', '4', '--resume', code=3)
    expect('first.f32: damaged' in result.err, result)


def test_no_run_to_resume(world):
    result = world.train('--resume', code=3)
    expect('runs/run: there is no run to resume' in result.err, result)


def test_run_without_a_checkpoint(world):
    world.train('--max-steps', '2')
    shutil.rmtree(world.path('runs', 'run', 'checkpoints'))
    result = world.train('--resume', code=3)
    expect('no complete checkpoint to resume from' in result.err, result)


def test_existing_run_is_not_overwritten(world):
    world.train('--max-steps', '2')
    before = world.bytes_of('runs', 'run', 'metrics.jsonl')
    result = world.train('--max-steps', '2', code=3)
    expect('runs/run: this run exists; use --resume to continue it' in result.err, result)
    expect(world.bytes_of('runs', 'run', 'metrics.jsonl') == before, 'metrics.jsonl changed')


if __name__ == '__main__':
    main()
