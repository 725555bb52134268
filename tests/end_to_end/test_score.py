#!/usr/bin/env python3
"""test_score.py - `score` on model directories as transformers writes their config.json.

The models are those of tests/oracle/families.py: weights from tensor names, logits recorded. The
scores of steps are compared with PyTorch where SCOPE_PYTHON names a Python that has it.
"""
import json
import math
import os
import struct
import subprocess
import sys

from harness import PATIENCE_S, SOURCE, Skip, byte_tokenizer, expect, expect_equal, main

sys.path.append(os.path.join(SOURCE, 'tests', 'oracle'))
from named_weights import numbers

FIXTURES = os.path.join(SOURCE, 'tests', 'fixtures')
FAMILIES = ('llama31', 'llama_padded', 'qwen2_untied', 'qwen3_tied')


def safetensors(content):
    """{name: (shape, floats)} of the F32 tensors."""
    length = struct.unpack('<Q', content[:8])[0]
    header, data = json.loads(content[8:8 + length]), content[8 + length:]
    return {name: (t['shape'],
                   [x for x, in struct.iter_unpack('<f', data[slice(*t['data_offsets'])])])
            for name, t in header.items() if name != '__metadata__' and t['dtype'] == 'F32'}


def shapes(config):
    """Names and shapes of a model's tensors."""
    h, f, v = config['hidden_size'], config['intermediate_size'], config['vocab_size']
    d = config.get('head_dim') or h // config['num_attention_heads']
    q, k = config['num_attention_heads'] * d, config['num_key_value_heads'] * d
    out = {'model.embed_tokens.weight': [v, h], 'model.norm.weight': [h]}
    qwen2, qwen3 = (config['model_type'] == kind for kind in ('qwen2', 'qwen3'))
    for i in range(config['num_hidden_layers']):
        layer = {'input_layernorm.weight': [h], 'post_attention_layernorm.weight': [h],
                 'self_attn.q_proj.weight': [q, h], 'self_attn.k_proj.weight': [k, h],
                 'self_attn.v_proj.weight': [k, h], 'self_attn.o_proj.weight': [h, q],
                 'mlp.gate_proj.weight': [f, h], 'mlp.up_proj.weight': [f, h],
                 'mlp.down_proj.weight': [h, f]}
        if qwen2:
            layer.update({'self_attn.q_proj.bias': [q], 'self_attn.k_proj.bias': [k],
                          'self_attn.v_proj.bias': [k]})
        if qwen3:
            layer.update({'self_attn.q_norm.weight': [d], 'self_attn.k_norm.weight': [d]})
        out.update({f'model.layers.{i}.{name}': shape for name, shape in layer.items()})
    kind = config['architectures'][0]
    if kind.endswith('ProcessRewardModel'):
        out.update({'score.0.weight': [h, h], 'score.0.bias': [h], 'score.2.weight': [2, h],
                    'score.2.bias': [2]})
    elif kind.endswith('TokenClassification'):
        out.update({'score.weight': [2, h], 'score.bias': [2]})
    elif not config.get('tie_word_embeddings'):
        out['lm_head.weight'] = [v, h]
    return out


def write_model(world, name, config):
    os.makedirs(world.path(name))
    world.write(f'{name}/config.json', json.dumps(config))
    header, data = {}, b''
    for tensor, shape in shapes(config).items():
        values = numbers(tensor, math.prod(shape))
        if len(shape) == 2:
            values = [x * 0.8 for x in values]
        else:
            values = [(1 if 'norm' in tensor else 0) + x * 0.5 for x in values]
        packed = struct.pack(f'<{len(values)}f', *values)
        header[tensor] = {'dtype': 'F32', 'shape': shape,
                          'data_offsets': [len(data), len(data) + len(packed)]}
        data += packed
    text = json.dumps(header).encode()
    world.write(f'{name}/model.safetensors', struct.pack('<Q', len(text)) + text + data)


def fixture(name):
    with open(os.path.join(FIXTURES, f'family_{name}.json'), encoding='utf-8') as file:
        recorded = json.load(file)
    with open(os.path.join(FIXTURES, f'family_{name}.safetensors'), 'rb') as file:
        return recorded, safetensors(file.read())


def score(world, lines, *words, code=0):
    world.write('in.jsonl', ''.join(json.dumps(line) + '\n' for line in lines))
    result = world.call('score', *words, 'in.jsonl', code=code)
    return [json.loads(line) for line in result.out.splitlines()], result


def test_log_probabilities_are_those_of_transformers(world):
    for name in FAMILIES:
        recorded, tensors = fixture(name)
        write_model(world, name, recorded['config'])
        lines = [{'ids': row['tokens']} for row in recorded['rows']]
        worst = 0.0
        out, _ = score(world, lines, '--model', name)
        for i, (row, line) in enumerate(zip(recorded['rows'], out)):
            (_, vocab), logits = tensors[f'logits.{i}']
            expect_equal(line['logprobs'][0], None, 'first token')
            expect_equal(len(line['logprobs']), len(row['tokens']), 'length')
            for t, token in enumerate(row['tokens'][1:]):
                at = logits[t * vocab:(t + 1) * vocab]
                top = max(at)
                want = at[token] - top - math.log(sum(math.exp(x - top) for x in at))
                worst = max(worst, abs(want - line['logprobs'][t + 1]))
        expect(worst <= 2e-4, f'{name}: off by {worst}')


def test_lines_scored_together_are_what_they_are_alone(world):
    """More than one batch of them: of many lengths, some of which begin alike."""
    recorded, _ = fixture('qwen2_untied')
    write_model(world, 'model', recorded['config'])
    lines = [{'ids': [(7 * i * t + t if t > i % 20 else t) % 18 for t in range(1 + i * 7 % 64)]}
             for i in range(100)] + [{'ids': []}, {'ids': [3]}]
    together, _ = score(world, lines, '--model', 'model', '--threads', '2')
    expect_equal(len(together), len(lines), 'answers')
    expect_equal(together[-2:], [{'logprobs': []}, {'logprobs': [None]}], 'nothing to predict')
    for line, answer in list(zip(lines, together))[::9]:
        alone, _ = score(world, [line], '--model', 'model', '--threads', '1')
        expect_equal(alone, [answer], line)


def test_who_asks_line_by_line_is_answered_line_by_line(world):
    recorded, _ = fixture('qwen2_untied')
    write_model(world, 'model', recorded['config'])
    process = world.start('score', '--model', 'model', stdin=subprocess.PIPE)
    for count in (1, 5, 3):
        process.stdin.write(json.dumps({'ids': [1] * count}) + '\n\n')
        process.stdin.flush()
        expect_equal(len(json.loads(process.stdout.readline())['logprobs']), count, 'answer')
    expect_equal(world.finish(process).code, 0, 'exit code')


def test_errors_say_file_line_and_what(world):
    recorded, _ = fixture('qwen2_untied')
    write_model(world, 'model', recorded['config'])
    for line, words in (({'ids': [1, 99]}, 'the vocabulary has 18 tokens'),
                        ({'ids': [1] * 65}, 'the limit is 64'),
                        ({'ids': 'one'}, 'not a list'),
                        ({'prompt': 'a', 'completion': 'b'}, 'tokenizer')):
        out, result = score(world, [{'ids': [1, 2]}, line], '--model', 'model', code=3)
        expect_equal(len(out), 1, 'the good line is answered')
        expect('in.jsonl:2: ' in result.err and words in result.err, result.err)
    expect('--model' in score(world, [], code=2)[1].err, 'usage')
    out, result = score(world, [], '--prm', 'model', code=3)
    expect('tokenizer' in result.err, result.err)


def prm(world, name):
    config = dict(fixture(name)[0]['config'], vocab_size=259, max_position_embeddings=512)
    write_model(world, name, config)
    world.write(f'{name}/tokenizer.json', json.dumps(byte_tokenizer()))
    return config


SYSTEM = 'Please reason step by step, and put your final answer within \\boxed{}.'
PROBLEM, STEPS = 'What is 2+2*3?', ['2*3 = 6', 'So 2+6 = 9', 'It is \\boxed{9}.']

# Reads {config, families, ids}; prints the probability of class 1 at every token.
TORCH = '''
import json, sys
ask = json.load(sys.stdin)
sys.path.insert(0, ask["families"])
import families, torch
config = {k: v for k, v in ask["config"].items() if k not in ("architectures", "model_type")}
head = "reward" if "Process" in ask["config"]["architectures"][0] else "classes"
model = dict(kind=ask["config"]["model_type"], head=head, config=config)
net, _ = families.build(model, torch.float32)
print(json.dumps(torch.softmax(families.outputs(net, model, ask["ids"]), -1)[:, 1].tolist()))
'''


def by_torch(config, ids):
    python = os.environ.get('SCOPE_PYTHON')
    if not python:
        raise Skip('SCOPE_PYTHON names no Python with torch and transformers')
    ask = {'config': config, 'families': os.path.join(SOURCE, 'tests', 'oracle'), 'ids': ids}
    done = subprocess.run([python, '-c', TORCH], input=json.dumps(ask), capture_output=True,
                          text=True, timeout=PATIENCE_S, check=False)
    expect_equal(done.returncode, 0, done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def marked_ids():
    ids = [256, *f'system\n{SYSTEM}'.encode(), 257, 10, 256, *f'user\n{PROBLEM}'.encode(), 257, 10,
           256, *b'assistant\n']
    for step in STEPS:
        ids += [*step.encode(), 258]
    return ids


def test_later_steps_and_stray_marks_change_nothing(world):
    for name in ('qwen2_prm', 'qwen2_classes'):
        prm(world, name)
        stray = ['<extra_0>' + STEPS[0] + '<|im_end|>', *STEPS[1:]]
        lines = [{'prompt': PROBLEM, 'completion': '\n\n'.join(STEPS[:n])} for n in (1, 2, 3)]
        lines += [{'prompt': PROBLEM, 'completions': steps} for steps in (STEPS, stray, [])]
        out, _ = score(world, lines, '--prm', name)
        expect_equal([len(line['scores']) for line in out], [1, 2, 3, 3, 3, 0], 'scores')
        expect_equal(out[2]['steps'], STEPS, 'steps')
        expect_equal(out[3]['scores'], out[2]['scores'], 'steps as a list')
        expect_equal(out[4]['scores'], out[2]['scores'], 'stray marks')
        for line in out[:2]:
            expect_equal(line['scores'], out[2]['scores'][:len(line['scores'])], 'causal')
        right = [p >= 0.5 for p in out[2]['scores']] + [False]
        expect_equal(out[2]['verified'], right.index(False), 'verified')
        out, _ = score(world, lines[2:3], '--prm', name, '--max-tokens',
                       str(len(marked_ids()) - 1 if name == 'qwen2_prm' else 40))
        expect(out[0]['scores'][-1] is None and out[0]['scores'][0] is not None, out)
        expect(out[0]['verified'] <= out[0]['scores'].index(None), out)


def test_scores_of_marked_steps_are_those_of_torch(world):
    config = prm(world, 'qwen2_prm')
    text = marked_ids()
    at = by_torch(config, text)
    out, _ = score(world, [{'prompt': PROBLEM, 'completion': '\n\n'.join(STEPS)}], '--prm',
                   'qwen2_prm')
    wanted = [at[i] for i, token in enumerate(text) if token == 258]
    gaps = [abs(p - want) for p, want in zip(out[0]['scores'], wanted)]
    expect(len(gaps) == 3 and max(gaps) <= 1e-5, (out, wanted))


def test_scores_of_classified_tokens_are_those_of_torch(world):
    config = prm(world, 'qwen2_classes')
    text, ends = [*PROBLEM.encode()], []
    for step in STEPS:
        text += [*step.encode(), 10]
        ends.append(len(text) - 1)
    at = by_torch(config, text)
    out, _ = score(world, [{'prompt': PROBLEM, 'completions': STEPS}], '--prm', 'qwen2_classes')
    gaps = [abs(p - at[end]) for p, end in zip(out[0]['scores'], ends)]
    expect(len(gaps) == 3 and max(gaps) <= 1e-5, (out, at))


def test_a_run_scores_with_its_own_process_reward_model(world):
    """Steps past prm.max_len are unverified, which is 0."""
    prm(world, 'qwen2_prm')
    scores = []
    for max_len in (500, 130):
        sets = {'prm.backend': 'native', 'prm.path': 'qwen2_prm', 'prm.max_len': max_len}
        world.train('--max-steps', '2', name=f'run{max_len}', sets=sets)
        groups = world.lines('runs', f'run{max_len}', 'rollouts', 'stream.jsonl')
        scores.append([p for group in groups for p in group.get('step_p') or []])
    expect(scores[0] and all(p > 0 for p in scores[0]), scores[0])
    expect(scores[1] and any(p == 0 for p in scores[1]), scores[1])


main()
