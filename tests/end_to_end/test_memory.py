#!/usr/bin/env python3
"""test_memory.py - a run fits a laptop and does not grow."""
from harness import PATIENCE_S, QUICKSTART, SANITIZER, Skip, expect, main, settings

PEAK_BYTES = 500 * 10**6
FIRST, LAST = 200, 400  # by the first one every buffer has met its longest text
GROWTH = 0.01


def resident_kb(process):
    with open(f'/proc/{process.pid}/status', encoding='ascii') as file:
        return next(int(line.split()[1]) for line in file if line.startswith('VmRSS'))


def skip_under_sanitizers():
    if SANITIZER:
        raise Skip('a sanitizer needs memory of its own')


def test_quickstart_stays_below_500_mb(world):
    skip_under_sanitizers()
    # Its sizes, with the policy that is here: how good it is plays no part.
    world.call(QUICKSTART, '--name', 'run', '--max-steps', '3', *settings({
        'model.path': 'warm', 'warmup.path': '""', 'eval.every': 3, 'eval.problems': 64}))
    peak = world.status()['peak_rss_bytes']
    print(f'# peak {peak / 1e6:.0f} MB')
    expect(0 < peak <= PEAK_BYTES, f'peak of {peak} bytes')


def test_no_growth_over_steps(world):
    skip_under_sanitizers()
    run = world.start_training('--quiet', '--max-steps', '1000000', sets={
        'eval.every': 50, 'checkpoint.every': 50, 'learner.lr': 0})
    world.wait_for_step(run, FIRST)
    before = resident_kb(run)
    world.wait_for_step(run, LAST)
    after = resident_kb(run)
    run.terminate()
    expect(run.wait(timeout=PATIENCE_S) == 130, 'exit code')
    print(f'# {before} kB at step {FIRST}, {after} kB at step {LAST}')
    expect(after - before <= GROWTH * before, f'{before} kB grew to {after} kB')


if __name__ == '__main__':
    main()
