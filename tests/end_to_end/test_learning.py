#!/usr/bin/env python3
"""test_learning.py - fifty steps of SCOPE make the quickstart's policy visibly better."""
from harness import QUICKSTART, SANITIZER, Skip, expect, expect_accounted, main, settings, warmed

STEPS, GAIN = 50, 0.04


def test_fifty_steps_gain_four_points(world):
    if SANITIZER:
        raise Skip('it would only be slow')
    world.call(QUICKSTART, '--name', 'run', '--max-steps', str(STEPS), *settings({
        'model.path': 'warm', 'warmup.path': '""', 'eval.every': STEPS,
        'checkpoint.every': 0}))
    status = world.status()
    before, after = (status['eval'][when]['pass@1'] for when in ('before', 'after'))
    print(f'# pass@1 {before:.3f} -> {after:.3f}, {status["seconds"]["total"]:.0f} s')
    expect_accounted(status['groups'])
    expect(after - before >= GAIN, f'pass@1 {before:.3f} -> {after:.3f}, wanted {GAIN:+}')
    expect(status['teacher']['salvaged'] > 0, status['teacher'])


if __name__ == '__main__':
    main(None if SANITIZER else lambda: warmed(QUICKSTART, 'quickstart'))
