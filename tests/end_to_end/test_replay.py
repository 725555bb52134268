#!/usr/bin/env python3
"""test_replay.py - stages that are simulated or replayed beside real ones, and what-if tables."""
import json
import os

from harness import TINY, expect, expect_accounted, expect_equal, main

QUICK = {'eval.every': 0, 'checkpoint.every': 0}
LAWS = {'sim.decode': 'lognormal:4ms,0.5', 'sim.learn': 'constant:3ms',
        'sim.publish': 'constant:1ms', 'sim.prm': 'constant:1ms', 'sim.swap': '0s'}


def record(world, name='take', **sets):
    world.train('--max-steps', '12', name=name, sets={**QUICK, **sets})
    return f'runs/{name}'


def finished(world, name, steps):
    status = world.status(name)
    expect_equal((status['state'], status['steps']), ('done', steps), 'how it ended')
    expect_accounted(status['groups'])
    return status


def test_a_real_learner_with_simulated_rollouts(world):
    before = world.bytes_of('warm', 'model.safetensors')
    world.train('--max-steps', '4', sets={**QUICK, **LAWS, 'stages.rollout': 'sim',
                                          'checkpoint.every': 4, 'sim.refined': 1.0})
    finished(world, 'run', 4)
    expect(world.weights(4) != before, 'the learner learnt nothing')
    expect(world.metrics()[-1]['teacher/calls'] > 0, 'the teacher was not asked')


def test_real_rollouts_with_a_simulated_learner(world):
    world.train('--max-steps', '4', sets={**QUICK, **LAWS, 'stages.learner': 'sim',
                                          'stages.prm': 'sim'})
    finished(world, 'run', 4)
    expect_equal(os.listdir(world.path('runs', 'run', 'checkpoints')), [], 'checkpoints')
    said = world.train('--max-steps', '8', '--resume', code=3,
                       sets={**QUICK, **LAWS, 'stages.learner': 'sim'}).err
    expect('nothing to go on from' in said, said)


def test_every_stage_simulated_in_real_time(world):
    world.train('--max-steps', '4', sets={
        **QUICK, **LAWS, 'pipeline.strategy': 'async', 'scope.stats_scope': 'window',
        **{f'stages.{stage}': 'sim' for stage in ('rollout', 'prm', 'teacher', 'learner')}})
    finished(world, 'run', 4)


def rollouts(world, name):
    return sorted((line['group'], line['sample'], line['problem'],
                   line.get('student', line['text']))
                  for line in world.lines('runs', name, 'rollouts', 'stream.jsonl'))


def test_a_real_learner_with_replayed_rollouts_and_scores(world):
    take = record(world)
    replay = {'stages.replay': take, 'stages.rollout': 'replay', 'stages.prm': 'replay'}
    world.train('--max-steps', '14', name='again', sets={**QUICK, **replay})
    finished(world, 'again', 14)
    recorded, again = rollouts(world, 'take'), rollouts(world, 'again')
    expect_equal(again[:len(recorded)], recorded, 'what was said')
    first = [said for group, _, *said in recorded if group < 8]
    expect_equal([said for group, _, *said in again if group >= 48], first,
                 'the recording begins again')


def test_a_learner_trains_on_what_was_recorded_as_it_did_then(world):
    record(world, **{'checkpoint.every': 12, 'metrics.tokens': 'true'})
    for stages in (('rollout',), ('rollout', 'prm', 'teacher')):
        name = '-'.join(stages)
        world.train('--max-steps', '12', name=name, sets={
            **QUICK, 'checkpoint.every': 12, 'stages.replay': 'runs/take',
            **{f'stages.{stage}': 'replay' for stage in stages}})
        expect(world.weights(12, name) == world.weights(12, 'take'), f'{name}: other weights')
    expect(world.weights(12, 'take') != world.bytes_of('warm', 'model.safetensors'), 'no learning')
    said = world.train('--max-steps', '12', name='blind', sets={
        **QUICK, 'checkpoint.every': 12, 'stages.replay': record(world, 'mute'),
        'stages.rollout': 'replay'}).err
    expect('no true log-probabilities' in said, said)
    expect(world.weights(12, 'blind') != world.weights(12, 'take'), 'without them it is the same')


def test_a_replayed_teacher_answers_offline(world):
    take = record(world)
    world.train('--max-steps', '12', name='again',
                sets={**QUICK, 'stages.replay': take, 'stages.teacher': 'replay',
                      'data.train': 'builtin:chain?ops=2-4'})
    finished(world, 'again', 12)
    for name in 'take', 'again':
        expect(any('student' in line for line in
                   world.lines('runs', name, 'rollouts', 'stream.jsonl')), f'{name}: no repair')
    calls = [[(line['group'], line['prefix'], line['content'])
              for line in world.lines('runs', name, 'rollouts', 'replies.jsonl')
              if line['of'] == 'teacher'] for name in ('take', 'again')]
    # serial, and the same seed: the same was asked, so the same is answered
    expect_equal(sorted(calls[1]), sorted(calls[0]), 'calls')


def test_what_if_of_a_recorded_run(world):
    take = record(world, **{'run.steps': 12, 'solver.latency': 'constant:30ms'})
    words = ('bench', 'overlap', '--replay', take, '--repeat', '1', '--strategies',
             'serial,teacher_overlap', '--json')
    table = json.loads(world.call(*words).out)
    arms = {arm['strategy']: arm for arm in table['arms']}
    expect_equal(set(arms), {'serial', 'teacher_overlap'}, 'arms')
    expect_equal(table['recorded']['strategy'], 'serial', 'recorded')
    expect(table['recorded']['groups_per_s'] > 0, table['recorded'])
    expect(arms['teacher_overlap']['speedup_over_serial'] > 0.9, arms)
    faster = json.loads(world.call(*words, '--set', 'stages.teacher=sim', '--set',
                                   'solver.latency=constant:0s').out)
    expect(faster['arms'][0]['measured_groups_per_s'] > arms['serial']['measured_groups_per_s'],
           'a teacher that takes no time does not pay')
    drawn = ('bench', 'overlap', TINY, '--sim', '--repeat', '1', '--strategies', 'serial',
             '--set', f'sim.decode=trace:{take}', '--set', f'solver.latency=trace:{take}')
    world.call(*drawn, '--max-steps', '12')


def test_a_sweep_and_the_same_tables_from_its_trails(world):
    words = ('--json', '--repeat', '2', '--strategies', 'async', '--eta', '1')
    run = world.call('bench', 'overlap', TINY, '--sim', '--sweep', 'rollout.slots=4:8:2', '--out',
                     'swept', '--max-steps', '12', *words)
    arms = json.loads(run.out)['arms']
    expect_equal(len(arms), 4, 'arms of two tables')
    again = world.call('bench', 'overlap', '--from', 'swept', '--json')
    expect_equal(json.loads(again.out)['arms'], arms, 'arms from the trails')
    expect_equal([line for line in again.err.splitlines() if 'report' not in line],
                 [line for line in run.err.splitlines() if 'report' not in line], 'tables')
    os.remove(world.path('swept', sorted(os.listdir(world.path('swept')))[0]))
    expect('is missing' in world.call('bench', 'overlap', '--from', 'swept', code=3).err, 'a gap')


def test_what_cannot_be_replayed_is_said(world):
    def refuse(words, code=3, **sets):
        said = world.train(code=code, name='no', sets={**QUICK, **sets}).err
        expect(words in said, f'not {words!r} in {said}')
        expect(not os.path.exists(world.path('runs', 'no')), 'the run directory was made')
    take = record(world, **{'metrics.rollouts': 'false'})
    all_of = {'stages.replay': take, 'stages.rollout': 'replay', 'stages.prm': 'replay'}
    refuse('the rollout is not in this recording', **all_of)
    refuse('the teacher is not in this recording',
           **{'stages.replay': take, 'stages.teacher': 'replay'})
    refuse('recorded scores are of recorded rollouts', code=2,
           **{'stages.replay': take, 'stages.prm': 'replay'})
    refuse('nope: ', **{'stages.replay': 'nope', 'stages.learner': 'replay'})
    with open(world.path(take, 'trail_000000.jsonl'), 'w', encoding='utf-8') as file:
        file.write('{"trail": 999}\n')
    refuse('schema 999', **all_of)
    expect('schema 999' in world.call('bench', 'overlap', '--replay', take, code=3).err, 'schema')


if __name__ == '__main__':
    main()
