#!/usr/bin/env python3
"""summary.py BUILD... - what meson's test log says, subtest by subtest, and one last line.

Why: meson counts programs; people and scripts want to know how many claims were tested. The last
line is "N passed, M failed, K skipped"; the exit code is 1 when anything failed or nothing ran.
A program that dies, times out or ends before its plan counts as one more failure. The same name
with `--total FILE...` adds up last lines that were kept in files.
"""
import json
import os
import re
import sys

LINE = re.compile(r'^(ok|not ok)\b(?:\s+(\d+))?\s*-?\s*([^#]*?)\s*(?:#\s*(\w+)\b:?\s*(.*))?$')
PLAN = re.compile(r'^1\.\.(\d+)')
TOTAL = re.compile(r'^(\d+) passed, (\d+) failed, (\d+) skipped$')


def read_tap(stdout):
    """(passed, failed names, skipped (name, reason) pairs, planned or None)"""
    passed, failed, skipped, planned = 0, [], [], None
    for line in stdout.splitlines():
        plan, result = PLAN.match(line), LINE.match(line)
        if plan:
            planned = int(plan[1])
        elif result:
            name, directive, reason = result[3], (result[4] or '').upper(), result[5] or ''
            if directive == 'SKIP':
                skipped.append((name, reason or 'no reason given'))
            elif result[1] == 'ok':
                passed += 1
            else:
                failed.append(name)
    return passed, failed, skipped, planned


def read_program(test):
    """One line of testlog.json to (passed, failed, skipped)."""
    name, result, stdout = test['name'], test['result'], test.get('stdout') or ''
    passed, failed, skipped, planned = read_tap(stdout)
    ran = passed + len(failed) + len(skipped)
    if ran == 0:
        if result in ('OK', 'EXPECTEDFAIL'):
            return 1, [], []
        if result == 'SKIP':
            reason = next((line for line in stdout.splitlines() if line.strip()), 'no reason given')
            return 0, [], [(name, reason.lstrip('# '))]
        return 0, [f'{name}: {result.lower()}'], []
    failed = [f'{name}: {what}' for what in failed]
    if planned is not None and ran < planned:
        failed.append(f'{name}: {result.lower()} after {ran} of {planned}')
    elif result not in ('OK', 'SKIP', 'EXPECTEDFAIL') and not failed:
        failed.append(f'{name}: {result.lower()} (exit {test.get("returncode")})')
    return passed, failed, [(f'{name}: {what}', why) for what, why in skipped]


def finish(passed, failed, skipped):
    print(f'{passed} passed, {failed} failed, {skipped} skipped')
    return 1 if failed or passed == 0 else 0


def total(paths):
    sums = [0, 0, 0]
    for path in paths:
        with open(path, encoding='utf-8', errors='replace') as file:
            lines = [TOTAL.match(line.strip()) for line in file]
        last = next((match for match in reversed(lines) if match), None)
        # A stage that never reached its last line failed, whatever it was doing.
        counts = [int(number) for number in last.groups()] if last else [0, 1, 0]
        sums = [a + b for a, b in zip(sums, counts)]
    return finish(*sums)


def main():
    if sys.argv[1:2] == ['--total']:
        return total(sys.argv[2:])
    passed, failed, skipped = 0, [], []
    for build in sys.argv[1:] or ['build']:
        log = os.path.join(build, 'meson-logs', 'testlog.json')
        try:
            with open(log, encoding='utf-8', errors='replace') as file:
                tests = [json.loads(line) for line in file if line.strip()]
        except OSError as error:
            failed.append(f'{log}: {error.strerror}')
            tests = []
        for test in tests:
            one = read_program(test)
            passed, failed, skipped = passed + one[0], failed + one[1], skipped + one[2]
    for name, why in skipped:
        print(f'skipped  {name}: {why}')
    for name in failed:
        print(f'FAILED   {name}')
    return finish(passed, len(failed), len(skipped))


if __name__ == '__main__':
    sys.exit(main())
