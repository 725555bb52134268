"""`scope-runtime eval`: a file of samples beside recorded figures, and a policy's own samples."""
import json
import os

from harness import SOURCE, TINY, Skip, expect, expect_equal, main, settings


def recorded():
    with open(os.path.join(SOURCE, 'tests', 'fixtures', 'eval_metrics.json')) as file:
        return json.load(file)


def lines_of(rows):
    return ''.join(json.dumps(row) + '\n' for row in rows)


def test_figures_of_a_file_are_those_of_the_references(world):
    record = recorded()
    world.write('samples.jsonl', lines_of(record['lines']))
    got = json.loads(world.call('eval', '--samples', 'samples.jsonl', '--json', '--out',
                                'out.jsonl').out)
    expect_equal(sorted(got), sorted(record['reference']), 'names')
    for name, wanted in record['reference'].items():
        expect(abs(got[name] - wanted) < 1e-9, f'{name}: {got[name]}, the reference says {wanted}')
    out = [json.loads(line) for line in open(world.path('out.jsonl'))]
    right = [sum(row['equal'] for row in out if row['problem'] == p)
             for p in range(len(record['right']))]
    expect_equal(right, record['right'], 'right samples of each problem')
    # What was written is read again, to the same figures.
    again = json.loads(world.call('eval', '--samples', 'out.jsonl', '--json').out)
    expect_equal(again, got, 'figures of the written samples')


def test_samples_come_in_several_shapes(world):
    world.write('samples.jsonl', lines_of([
        {'id': 'a', 'ground_truth': '\\frac12', 'response': ['\\boxed{0.5}', '\\boxed{2}']},
        {'question': 'What is 3 + 4?', 'gold': 7, 'prediction': '7.0', 'tokens': 3},
        {'question': 'What is 3 + 4?', 'gold': 7, 'prediction': 'so \\boxed{8}', 'tokens': 5}]))
    got = json.loads(world.call('eval', '--samples', 'samples.jsonl', '--json', '-k', '2').out)
    expect_equal((got['eval/pass@1'], got['eval/pass@2']), (0.5, 1), 'pass@k')
    expect('eval/len_mean' not in got, 'lengths are not all known')
    strict = json.loads(world.call('eval', '--samples', 'samples.jsonl', '--json', '--set',
                                   'grade.fallback="last_number"').out)
    expect_equal(strict['eval/pass@1'], 0.5, 'with a setting')


def test_gold_answers_come_from_the_data_set(world):
    world.write('data.jsonl', lines_of([{'question': 'one', 'answer': 'so 1 #### 1'},
                                        {'question': 'two', 'answer': 'so 2 #### 2'}]))
    world.write('samples.jsonl', lines_of([{'problem': 1, 'text': '\\boxed{2}'},
                                           {'problem': 0, 'text': '\\boxed{2}'}]))
    sets = settings({'data.eval': '"data.jsonl"'})
    got = json.loads(world.call('eval', TINY, *sets, '--samples', 'samples.jsonl', '--json').out)
    expect_equal(got['eval/pass@1'], 0.5, 'pass@1')
    world.write('samples.jsonl', lines_of([{'problem': 2, 'text': '\\boxed{2}'}]))
    result = world.call('eval', TINY, *sets, '--samples', 'samples.jsonl', code=3)
    expect('samples.jsonl:1: no "gold"' in result.err, result)


def benchmark(world, name, text_of):
    """Figures of one sample a problem of a shared data set, whose text is text_of(its object)."""
    path = os.path.join(os.environ.get('SCOPE_SHARED', ''), 'data', *name.split('/'))
    if not os.path.exists(path):
        raise Skip(f'{name} is not here')
    with open(path) as file:
        rows = [json.loads(line) for line in file]
    world.write('samples.jsonl', lines_of([{'problem': number, 'text': text_of(row)}
                                           for number, row in enumerate(rows)]))
    return json.loads(world.call('eval', TINY, *settings({'data.eval': f'"{path}"'}), '--json',
                                 '--samples', 'samples.jsonl').out)


def test_gold_answers_of_the_benchmarks_are_right(world):
    for name in ('eval/math500.jsonl', 'eval/aime24.jsonl', 'eval/amc23.jsonl'):
        got = benchmark(world, name, lambda row: f'I think $\\boxed{{{row["answer"]}}}$.')
        expect_equal(got['eval/pass@1'], 1, name)
    got = benchmark(world, 'gsm8k/test.jsonl',
                    lambda row: '\\boxed{' + row['answer'].split('####')[1].strip() + '}')
    expect_equal(got['eval/pass@1'], 1, 'GSM8K')


def test_reference_solutions_of_math_are_right(world):
    got = benchmark(world, 'eval/math500.jsonl', lambda row: row['solution'])
    expect_equal((got['eval/pass@1'], got['eval/no_box_frac']), (1, 0), 'MATH-500')


def test_bad_samples_are_named(world):
    for text, words in (('{"gold":"1","text":"a"}\n', ':1: no "problem"'),
                        ('{"problem":1,"gold":"1"}\n', ':1: no "text"'),
                        ('{"problem":1,"gold":"1","text":["a",2]}\n', ':1: no "text"'),
                        ('{"problem":1,"gold":"","text":"a"}\n', ':1: the gold answer is empty'),
                        ('{"problem":1,"gold":"1","text":[]}\n', '0 samples of one problem'),
                        ('\n', 'no sample in it'), ('[]\n', ':1: not an object')):
        world.write('samples.jsonl', text)
        result = world.call('eval', '--samples', 'samples.jsonl', code=3)
        expect('samples.jsonl' in result.err and words in result.err, f'{text}: {result}')
    world.call('eval', '--samples', 'absent.jsonl', code=3)
    result = world.call('eval', '--samples', '-', code=3)
    expect('read twice' in result.err, result)
    world.write('samples.jsonl', '{"problem":1,"gold":"1","text":"a"}\n')
    result = world.call('eval', '--samples', 'samples.jsonl', '--out', 'no/such/file', code=3)
    expect('no/such/file' in result.err, result)
    world.call('eval', code=2)


def test_a_policy_is_sampled_and_its_samples_written(world):
    sets = settings({'eval.problems': 4, 'eval.samples': 3})
    got = json.loads(world.call('eval', TINY, *sets, '--checkpoint', 'warm', '--json', '--out',
                                'out.jsonl').out)
    out = [json.loads(line) for line in open(world.path('out.jsonl'))]
    expect_equal(sorted((row['problem'], row['sample']) for row in out),
                 [(p, s) for p in range(4) for s in range(3)], 'samples')
    expect_equal(got['eval/avg@3'], sum(row['equal'] for row in out) / 12, 'share of right ones')
    expect('eval/maj@3' in got and 'eval/diversity_p50' in got and got['eval/len_mean'] > 0, got)
    again = json.loads(world.call('eval', '--samples', 'out.jsonl', '--json').out)
    for name in again:
        expect_equal(again[name], got[name], name)


if __name__ == '__main__':
    main()
