#!/usr/bin/env python3
"""test_prompts.py - how a file's problems become prompts, and that it is said."""
import json

from harness import expect, expect_equal, main, settings, TINY

# Everything a tiny vocabulary can spell; what it cannot is asked about, not shown.
TEMPLATE = ('{% for m in messages %}{{ m.content[:9] if m.role == "user" else m.content }}+'
            '{% endfor %}{{ strftime_now("%Y%m%d") if strftime_now is defined else 0 }}'
            '{{ "*" if "blank line" in messages[-1].content else "-" }}{{ level|default(0) }}=')


def samples(world, code=0, **sets):
    usual = {'model.path': 'warm', 'warmup.path': '""'}
    more = {key.replace('__', '.'): value for key, value in sets.items()}
    result = world.call('samples', TINY, '--json', '-n', '2', *settings({**usual, **more}),
                        code=code)
    return json.loads(result.out)['samples'] if code == 0 else result


def write_rows(world, name, *rows):
    return world.write(name, ''.join(json.dumps(row) + '\n' for row in rows))


def test_plain_is_the_problem_alone(world):
    first = samples(world)[0]
    expect_equal(first['prompt'], first['text'], 'a model without a template')
    world.write('warm/chat_template.jinja', '1+{{ messages[-1].content[:3] }}')
    first = samples(world)[0]
    expect_equal(first['prompt'], '1+' + first['text'][:3], "the model's own template")
    first = samples(world, data__prompt_format='plain')[0]
    expect_equal(first['prompt'], first['text'], 'data.prompt_format = plain')


def test_each_key_reaches_the_prompt(world):
    world.write('t.jinja', TEMPLATE)
    write_rows(world, 'd.jsonl', {'problem': '1+1=', 'answer': 2})
    usual = {'data__train': 'd.jsonl', 'data__prompt_format': 't.jinja', 'data__system': '7',
             'data__instruction': '8'}
    for more, wanted in (({}, '7+1+1=\n\n8+20240726-0='),
                         ({'data__system': ''}, '1+1=\n\n8+20240726-0='),
                         ({'data__instruction': ''}, '7+1+1=+20240726-0='),
                         ({'data__template_date': '2025-01-02'}, '7+1+1=\n\n8+20250102-0='),
                         ({'data__template_date': ''}, '7+1+1=\n\n8+0-0='),
                         ({'data__template_variables': "'{\"level\": 3}'"},
                          '7+1+1=\n\n8+20240726-3=')):
        expect_equal(samples(world, **{**usual, **more})[0]['prompt'], wanted, more)
    hinted = samples(world, **usual, data__blank_line_hint='true')[0]
    expect_equal(hinted['prompt'], '7+1+1=\n\n8 S+20240726*0=', 'data.blank_line_hint')
    ids = hinted['ids']  # its words are beyond this vocabulary, and left out
    world.write('t.jinja', TEMPLATE.replace('[:9]', '[:7]'))
    hinted = samples(world, **usual, data__blank_line_hint='true')[0]
    expect_equal(hinted['ids'], ids, 'without what no token spells')


def test_messages_of_a_file_stay_as_they_are(world):
    world.write('t.jinja', TEMPLATE)
    write_rows(world, 'd.jsonl', {
        'prompt': [{'role': 'system', 'content': '5'}, {'role': 'user', 'content': '2+2='}],
        'reward_model': {'style': 'rule', 'ground_truth': '4'}, 'data_source': 'x'})
    first = samples(world, data__train='d.jsonl', data__prompt_format='t.jinja')[0]
    expect_equal((first['text'], first['gold'], first['prompt']),
                 ('2+2=', '4', '5+2+2=+20240726-0='), 'verl')


def test_keys_are_told_where_they_have_other_names(world):
    write_rows(world, 'd.jsonl', {'q': {'text': '1+2='}, 'a': '3', 'w': '1+2=3\n\n\\boxed{3}'})
    found = samples(world, data__train='d.jsonl', data__prompt_key='q.text', data__answer_key='a',
                    data__solution_key='w')[0]
    expect_equal((found['text'], found['gold'], found['steps'], found['reference_reward']),
                 ('1+2=', '3', ['1+2=3', '\\boxed{3}'], 1), 'samples')
    result = samples(world, code=3, data__train='d.jsonl')
    expect('d.jsonl:1:' in result.err and 'data.prompt_key' in result.err, result)


def test_check_and_the_terminal_say_what_was_found(world):
    write_rows(world, 'd.jsonl', {'question': '1+1=', 'answer': '1+1=<<1+1=2>>2\n#### 2'})
    sets = {'data.train': 'd.jsonl', 'data.eval': 'absent.jsonl'}
    result = world.call('check', TINY, *settings(sets))
    expect('# data.train: GSM8K (question, answer with ####), 1 problems' in result.out, result)
    expect('# data.eval: absent.jsonl: cannot open' in result.out, result)
    said = json.loads(world.call('check', TINY, '--json', *settings(sets)).out)['data']
    expect('GSM8K' in said['train'] and 'cannot open' in said['eval'], said)
    world.write('bad.jsonl', '{"x":1}\n')
    result = world.call('check', TINY, *settings({'data.train': 'bad.jsonl'}), code=3)
    expect('error: data.train: bad.jsonl:1:' in result.err, result)
    result = world.train('--max-steps', '1', sets={'eval.every': 0, 'checkpoint.every': 0})
    expect('multi-step arithmetic' in result.err and 'plain' in result.err, result)


def test_a_template_that_cannot_serve_stops_the_run_before_it_starts(world):
    for text, words in (('{{ x|nosuch }}', "1: filter 'nosuch'"), ('a\n{% if %}', ':2: ')):
        world.write('t.jinja', text)
        result = world.train(sets={'data.prompt_format': 't.jinja'}, code=3)
        expect('t.jinja' in result.err and words in result.err, result)
    result = world.train(sets={'data.prompt_format': 'vicuna'}, code=3)
    expect('qwen2.5' in result.err, result)


if __name__ == '__main__':
    main()
