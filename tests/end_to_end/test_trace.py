#!/usr/bin/env python3
"""test_trace.py - a run's trail as a timeline: well formed, in its window, from any attempt."""
import collections
import json
import os

from harness import TINY, expect, expect_equal, main

ASYNC = {'pipeline.strategy': 'async', 'scope.stats_scope': 'window', 'eval.every': 0}


def trace(world, *words):
    events = json.loads(world.call('trace', *words).out)['traceEvents']
    by_phase = collections.defaultdict(list)
    for event in events:
        by_phase[event['ph']].append(event)
    return by_phase


def test_a_timeline_of_actors_groups_and_versions(world):
    world.train('--max-steps', '8', sets=ASYNC)
    phases = trace(world, 'runs/run')
    named = {event['tid'] for event in phases['M'] if event['name'] == 'thread_name'}
    spans = collections.defaultdict(list)
    for event in phases['X']:
        spans[event['tid']].append((event['ts'], event['ts'] + event['dur']))
    expect(set(spans) <= named, 'a track without a name')
    for track, times in spans.items():
        times.sort()
        expect(all(one[1] <= two[0] + 0.002 for one, two in zip(times, times[1:])),
               f'spans of track {track} overlap')
    names = collections.Counter(event['name'].split()[0] for event in phases['X'])
    expect_equal(names['step'], 8, 'steps')
    expect(names['sample'] >= 8 * 4 and names['call'] > 0 and names['score'] > 0, names)
    started = {event['id'] for event in phases['s']}
    finished = {event['id'] for event in phases['f']}
    expect_equal(len(finished), 8 * 4, 'groups that were trained')
    expect(finished <= started, 'a group ends that never began')
    versions = {event['name'] for event in phases['i']}
    expect({'version 1', 'version 8'} <= versions, versions)


def test_a_window_of_steps(world):
    world.train('--max-steps', '8', sets=ASYNC)
    steps = [event['name'] for event in trace(world, 'runs/run', '--steps', '2:5')['X']
             if event['name'].startswith('step')]
    expect_equal(steps, ['step 3', 'step 4', 'step 5'], 'steps of 2:5')
    world.call('trace', 'runs/run', '--steps', '2:5', '-o', 't.json')
    expect(os.path.getsize(world.path('t.json')) > 100, 't.json is empty')


def test_a_resumed_run_has_a_trail_of_its_own(world):
    world.train('--max-steps', '4', sets={'checkpoint.every': 4})
    world.train('--max-steps', '8', '--resume', sets={'checkpoint.every': 4})
    for window, wanted in (('0:4', {f'step {i}' for i in range(1, 5)}),
                           ('4:8', {f'step {i}' for i in range(5, 9)})):
        steps = {event['name'] for event in trace(world, 'runs/run', '--steps', window)['X']
                 if event['name'].startswith('step')}
        expect(wanted == steps, f'{window}: {steps}')


def test_plan_reckons_with_what_was_recorded(world):
    world.train('--max-steps', '16', sets=ASYNC)
    trail = 'runs/run/trail_000000.jsonl'
    plans = json.loads(world.call('plan', TINY, '--from', trail, '--json', '--what-if',
                                  'teacher.concurrency=1').out)
    for plan in plans.values():
        expect(plan['groups_per_s']['cores'] > 0, plan)
        expect_equal(plan['tokens_per_s']['learner']['source'], 'recorded', 'source')
    expect(plans['what_if']['groups_per_s']['teacher'] < plans['plan']['groups_per_s']['teacher'],
           'one call in flight is as good as many')
    world.call('plan', TINY, '--from', 'none.jsonl', code=3)
    world.call('plan', TINY, '--what-if', 'rollout.count=0', code=2)


def test_what_cannot_be_shown_is_said(world):
    world.train('--max-steps', '2', sets={'metrics.trail': 'false'})
    expect('metrics.trail' in world.call('trace', 'runs/run', code=3).err, 'no reason')
    world.call('trace', 'runs/none', code=3)
    world.call('trace', 'runs/run', '--steps', '3', code=2)
    world.write('old.jsonl', '{"trail": 999}\n')
    expect('schema 999' in world.call('trace', 'old.jsonl', code=3).err, 'no schema')
    world.write('bad.jsonl', 'garbage\n')
    expect('bad.jsonl:1' in world.call('trace', 'bad.jsonl', code=3).err, 'no place')


if __name__ == '__main__':
    main()
