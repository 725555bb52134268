#!/usr/bin/env python3
"""test_digits.py - a foreign model of 16 characters, its own prompts, a dense reward.

configs/digits.toml, a few steps of it. The model is not part of this project: without ../shared
every test is skipped.
"""
import json
import os

from harness import SOURCE, Skip, expect, expect_accounted, expect_equal, main, settings

DIGITS = os.path.join(os.environ.get('SCOPE_SHARED', ''), 'data', 'models', 'digits')
CONFIG = os.path.join(SOURCE, 'configs', 'digits.toml')
STEPS, PROMPTS, GROUP, PASSES = 3, 8, 4, 2


def train(world, name, **sets):
    if not os.path.isdir(DIGITS):
        raise Skip(f'no model in {DIGITS}')
    files = {'model.path': DIGITS, 'data.train': os.path.join(DIGITS, 'train.parquet'),
             'data.eval': os.path.join(DIGITS, 'test.parquet')}
    return world.call(CONFIG, '--name', name, '--max-steps', str(STEPS), '--json', *settings({
        **{key: json.dumps(path) for key, path in files.items()},
        'rollout.prompts_per_step': PROMPTS, 'rollout.group_size': GROUP,
        'learner.minibatch_prompts': PROMPTS // 2, 'learner.passes': PASSES,
        'eval.problems': 10, 'eval.samples': 1, 'checkpoint.every': STEPS, **sets}))


def test_it_loads_and_trains_and_every_group_has_one_end(world):
    result = train(world, 'run')
    status, trained = world.status(), STEPS * PROMPTS
    expect_equal(status['state'], 'done', 'state')
    expect_accounted(status['groups'])
    expect_equal(status['groups'], dict(admitted=trained, trained=trained, stale=0, filtered=0,
                                        failed=0, live=0), 'groups')
    expect_equal(json.loads(result.out)['groups'], status['groups'], 'groups in --json')
    with open(world.path('runs', 'run', 'checkpoints', f'step_{STEPS:06d}', 'hf', 'config.json'),
              encoding='utf-8') as file:
        expect_equal(json.load(file)['vocab_size'], 16, 'vocabulary of the checkpoint')


def test_rewards_are_shares_and_what_follows_a_mistake_carries_no_loss(world):
    train(world, 'run')
    gold = {row['group']: row['gold'] for row in world.lines('runs', 'run', 'rollouts',
                                                             'index.jsonl')}
    rows = world.lines('runs', 'run', 'rollouts', 'stream.jsonl')
    expect_equal(len(rows), STEPS * PROMPTS * GROUP, 'rollouts')
    trained = 0
    for row in rows:
        wanted, text = gold[row['group']], row['text']
        right = len(os.path.commonprefix([wanted, text]))
        end = row['finish'] == 'stop' and text == wanted
        share = (right + end) / (len(wanted) + 1)
        # A special token within shows in no text, but is a wrong character all the same.
        special = row['tokens'] - (row['finish'] == 'stop') - len(text) > 0
        expect(abs(row['reward'] - share) < 1e-6 or special and row['reward'] < share,
               f'{row}: {wanted!r} asks for reward {share}')
        first = row['segments'][0]
        expect_equal(first['loss'], 'policy', f'loss of what leads to the reward in {row}')
        expect(special or right < first['count'] or right == row['tokens'], row)
        expect(first['count'] == row['tokens'] or row['segments'][1]['loss'] == 'none', row)
        trained += first['count']
    expect(any(0 < row['reward'] < 1 for row in rows), 'no reward between 0 and 1')
    expect(trained < sum(row['tokens'] for row in rows), 'every token carries loss')
    expect_equal(sum(line['tokens/trained'] for line in world.metrics()), PASSES * trained,
                 'tokens trained in all passes, in metrics.jsonl')


def test_two_runs_are_the_same_to_the_byte(world):
    for name in ('one', 'other'):
        train(world, name)
    expect(world.weights(STEPS, 'one') == world.weights(STEPS, 'other'), 'weights differ')


if __name__ == '__main__':
    main(None)
