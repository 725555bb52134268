#!/usr/bin/env python3
"""test_accounting.py - every group that was admitted has one end, however the run ends.

admitted = trained + stale + filtered + failed + live, in status.json and in what --json prints.
"""
import json
import os
import signal

from harness import SANITIZER, expect, expect_accounted, expect_equal, main

ASYNC = {'pipeline.strategy': 'async', 'scope.stats_scope': 'window'}
ENDLESS = ('--max-steps', '1000000')


def expect_complete_checkpoint(world, step, name='run'):
    directory = world.path('runs', name, 'checkpoints', f'step_{step:06d}')
    for file in ('COMPLETE', 'hf/model.safetensors', 'hf/config.json', 'hf/tokenizer.json',
                 'state/state.json', 'state/first.f32', 'state/second.f32'):
        expect(os.path.exists(os.path.join(directory, file)), f'{directory}: no {file}')


def interrupt(world, number=signal.SIGINT, sets=None):
    """A run that was told to stop in its middle: (result, status)."""
    run = world.start_training(*ENDLESS, '--json', sets=sets)
    world.wait_for_step(run, 5)
    run.send_signal(number)
    result = world.finish(run)
    expect_equal(result.code, 130, f'exit code of {result}')
    return result, world.status()


def test_a_run_that_ends_by_itself(world):
    result = world.train('--json')
    status = world.status()
    expect_equal(status['state'], 'done', 'state')
    expect_equal(status['steps'], 6, 'steps')
    expect_accounted(status['groups'])
    expect_equal(status['groups'], dict(admitted=24, trained=24, stale=0, filtered=0, failed=0,
                                        live=0), 'groups')
    expect_equal(json.loads(result.out)['groups'], status['groups'], 'groups in --json')
    expect_complete_checkpoint(world, 6)


def expect_ledger(status):
    """Busy and idle times of every actor are its wall time, to half a per cent."""
    overlap = status['overlap']
    expect(len(overlap['busy']) >= 12, f'actors: {sorted(overlap["busy"])}')
    for actor, busy in overlap['busy'].items():
        whole = busy + sum(overlap['idle'][actor].values())
        expect(abs(whole - 1) < 0.005, f'{actor}: busy and idle make {whole}')
    wasted = sum(overlap['waste'].values())
    expect(abs(wasted + overlap['useful_share'] - 1) < 1e-6, 'waste and use')
    for name, queue in overlap['queues'].items():
        expect(abs(queue['mean'] - queue['rate_x_sojourn']) < 0.02 * max(queue['mean'], 0.1),
               f'{name}: depth {queue["mean"]}, rate x sojourn {queue["rate_x_sojourn"]}')


def told_of(lines, prefix):
    """Seconds of all steps under time/PREFIX/ as {name: sum}."""
    told = {}
    for line in lines:
        for name, value in line.items():
            if name.startswith(f'time/{prefix}/'):
                told[name] = told.get(name, 0) + value
    return told


def expect_cores(lines):
    """What the compute threads did is their wall time, idle included."""
    told = told_of(lines, 'cores')
    for what in ('decode', 'prefill', 'pack', 'forward', 'backward', 'update', 'export'):
        expect(told[f'time/cores/{what}'] > 0, f'{what} took no time: {told}')
    threads = sum(told.values()) / sum(told_of(lines, 'learner').values())
    expect(threads > 0.9 and abs(threads - round(threads)) < 0.1, f'{threads} threads')


def test_every_actors_time_adds_up(world):
    for strategy in ('serial', 'one_step_off', 'pipelined', 'async'):
        sets = {'pipeline.strategy': strategy, 'scope.stats_scope': 'window'}
        world.train('--max-steps', '5', name=strategy, sets=sets)
        expect_ledger(world.status(strategy))
        lines = world.metrics(strategy)
        expect_cores(lines)
        for actor in ('learner', 'rollout', 'prm', 'refiner'):
            told = sum(told_of(lines, actor).values())
            # `t` is when the line was written, after the step; a sanitizer makes that late
            late = 0.3 if SANITIZER else 0.05
            expect(abs(told - lines[-1]['t']) < late * lines[-1]['t'] + 0.02,
                   f'{strategy}: {actor} tells of {told} s, {lines[-1]["t"]} passed')


def test_every_step_has_the_numbers_that_dashboards_know(world):
    world.train(name='numbers')
    names = ('reward/mean reward/std group/zero_std_frac completion/len_mean completion/len_max '
             'completion/clipped_frac entropy/mean mismatch_kl is_ratio/mean is_ratio/max '
             'clip/low_frac clip/high_frac optim/grad_norm optim/lr staleness/mean staleness/max '
             'time/step time/train time/wait_batch queue/groups/depth teacher/calls teacher/errors '
             'teacher/tokens_in teacher/tokens_out teacher/latency_p50 teacher/latency_p95 '
             'scope/cut_frac scope/cut_pos_mean scope/prm_first_error_conf '
             'scope/no_error_found_frac scope/teacher_success_frac scope/teacher_tokens_frac')
    for line in world.metrics('numbers'):
        missing = [name for name in names.split() if name not in line]
        expect(not missing, f'step {line["step"]} lacks {missing}')
        shares = [name for name in line if name.endswith('_frac')]
        expect(all(0 <= line[name] <= 1 for name in shares), line)


def test_async_with_old_groups(world):
    world.train('--max-steps', '40', sets={**ASYNC, 'pipeline.eta': 3, 'pipeline.age_max': 3,
                                           'eval.every': 20, 'checkpoint.every': 20})
    status = world.status()
    expect_accounted(status['groups'])
    expect_equal(status['state'], 'done', 'state')
    expect(status['groups']['trained'] >= 40 * 4, status['groups'])
    oldest = max(line['staleness/max'] for line in world.metrics())
    expect(0 < oldest <= 3, f'a group of age {oldest} was trained on, age_max is 3')


def test_async_trains_on_nothing_older_than_age_max(world):
    world.train('--max-steps', '30', sets={
        **ASYNC, 'pipeline.eta': 1, 'pipeline.age_max': 1, 'eval.every': 0,
        'solver.latency': 'uniform:0ms-40ms'})
    expect_accounted(world.status()['groups'])
    oldest = max(line['staleness/max'] for line in world.metrics())
    expect(oldest <= 1, f'a group of age {oldest} was trained on, age_max is 1')


def test_filtered_groups_are_counted_and_replaced(world):
    world.train(sets={'pipeline.drop_all_equal': 'true', 'scope.arm': 'grpo'})
    groups = world.status()['groups']
    expect_accounted(groups)
    expect(groups['filtered'] > 0, f'nothing was filtered: {groups}')
    expect_equal(groups['trained'], 24, 'trained')


def test_interrupted_run_drains_and_saves(world):
    result, status = interrupt(world)
    expect_equal(status['state'], 'interrupted', 'state')
    expect_accounted(status['groups'])
    expect_equal(json.loads(result.out)['groups'], status['groups'], 'groups in --json')
    expect_equal(len(world.metrics()), status['steps'], 'lines of metrics')
    expect_complete_checkpoint(world, status['steps'])


def test_terminated_async_run_drains_and_saves(world):
    _, status = interrupt(world, number=signal.SIGTERM, sets=ASYNC)
    expect_equal(status['state'], 'interrupted', 'state')
    expect_accounted(status['groups'])
    expect_complete_checkpoint(world, status['steps'])


def test_second_signal_aborts(world):
    # Steps long enough that the second one comes while the first one's step is under way.
    run = world.start_training(*ENDLESS, '--json', sets={
        'rollout.prompts_per_step': 64, 'rollout.group_size': 16, 'eval.every': 0})
    world.wait_for_step(run, 1)
    run.send_signal(signal.SIGINT)
    run.send_signal(signal.SIGTERM)
    result = world.finish(run)
    expect_equal(result.code, 130, f'exit code of {result}')
    expect_accounted(json.loads(result.out)['groups'])
    expect_accounted(world.status()['groups'])


if __name__ == '__main__':
    main()
