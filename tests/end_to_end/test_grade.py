"""What `scope-runtime grade` says of pairs, whole responses and bad lines."""
import json
import subprocess

from harness import PROGRAM, expect, expect_equal, main


def grade(world, pairs, *options, code=0):
    """Verdicts of pairs given on standard input, as (equal, stage)."""
    lines = ''.join(json.dumps({'gold': gold, 'prediction': text}) + '\n' for gold, text in pairs)
    result = subprocess.run([PROGRAM, 'grade', *options], input=lines, text=True,
                            capture_output=True, cwd=world.directory)
    expect_equal(result.returncode, code, result.stderr)
    return [(v['equal'], v['stage']) for v in map(json.loads, result.stdout.splitlines())]


def test_bare_answers_and_whole_responses(world):
    got = grade(world, [
        ('\\frac{1}{2}', '0.5'), ('\\frac{1}{2}', '\\dfrac12'), ('7', '8'), (7, '7'), ('27', 27.0),
        ('7', '<think>maybe 8</think>\n\n7.'), ('7', 'First \\boxed{8}, no: \\boxed{7}.'),
        ('7', 'It is 7, \\boxed{'), ('She has 3 * 411 = 1233.\n#### 1,233', 'So \\boxed{1233}'),
        ('7', 'the answer is 7')])
    expect_equal(got, [(True, 'value'), (True, 'string'), (False, 'none'), (True, 'string'),
                       (True, 'string'), (True, 'string'), (True, 'string'), (False, 'none'),
                       (True, 'string'), (False, 'none')], 'verdicts')


def test_settings_are_options(world):
    expect_equal(grade(world, [('0.5', '50%')], '--percent', 'ratio'), [(True, 'value')], 'ratio')
    expect_equal(grade(world, [('52_8', '52')], '--base-subscript-strict=false'),
                 [(True, 'value')], 'base')
    expect_equal(grade(world, [('7', 'the answer is 7')], '--fallback', 'last_number'),
                 [(True, 'string')], 'fallback')
    expect_equal(grade(world, [('(3,\\infty)', 'x>3')], '--relation-to-interval', 'both'),
                 [(True, 'value')], 'interval')
    result = world.call('grade', '--set', 'grade.percent=ratio', code=2)
    expect('"grade" has no use for --set' in result.err, result)
    expect('--percent' in world.call('grade', '--help').out, 'its settings are options')


def test_a_bad_line_is_named(world):
    world.write('pairs.jsonl', '{"gold":"1","prediction":"1"}\n\n{"gold":"1"}\n')
    result = world.call('grade', 'pairs.jsonl', code=3)
    expect_equal(result.out, '{"equal":true,"stage":"string"}\n', 'lines before it')
    expect('pairs.jsonl:3: "prediction" is missing' in result.err, result)
    world.write('pairs.jsonl', '{"gold":["1"],"prediction":"1"}\n')
    result = world.call('grade', 'pairs.jsonl', code=3)
    expect('pairs.jsonl:1: "gold" is neither a text nor a number' in result.err, result)
    world.call('grade', 'absent.jsonl', code=3)


if __name__ == '__main__':
    main()
