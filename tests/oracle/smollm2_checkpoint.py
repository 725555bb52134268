#!/usr/bin/env python3
"""smollm2_checkpoint.py SCOPE_RUNTIME RUN - what a run left, opened by transformers and llama.cpp.

The newest checkpoint of RUN (or a Hugging Face directory) is loaded by transformers, whose
log-probabilities of a few texts stand beside those of `score`, and whose weights differ from
MODEL's where --before MODEL names what the run began with. Then `export` writes an f32 GGUF, and
llama.cpp goes on greedily from a prompt beside `generate`. Prints one JSON object; fails when a
log-probability is further away than 1e-4, or no text is equal.
"""
import argparse
import ctypes
import json
import os
import subprocess
import sys
import tempfile

TEXTS = ('Natalia has 48 clips and sells half of them. How many are left? 48 / 2 = 24.',
         'The answer is \\boxed{24}.', 'def f(x):\n    return x + 1\n')
PROMPTS = ('<|im_start|>user\nWhat is 12 + 30?<|im_end|>\n<|im_start|>assistant\n',
           'The capital of France is', 'One, two, three,')
TOKENS = 24


def newest(run):
    steps = os.path.join(run, 'checkpoints')  # a run has a config.json as well
    if not os.path.isdir(steps):
        return run
    return os.path.join(steps, max(n for n in os.listdir(steps) if n.startswith('step_')), 'hf')


def ask(program, words, lines):
    text = ''.join(json.dumps(line) + '\n' for line in lines)
    out = subprocess.run([program, *words], input=text, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in out.stdout.splitlines()]


def of_transformers(program, directory, before):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    tokenizer = AutoTokenizer.from_pretrained(directory)
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()
    batch = [tokenizer(text, add_special_tokens=False)['input_ids'] for text in TEXTS]
    ours = ask(program, ['score', '--model', directory], [{'ids': ids} for ids in batch])
    gap = 0.0
    for ids, line in zip(batch, ours):
        with torch.no_grad():
            logp = model(torch.tensor([ids])).logits[0].log_softmax(-1)
        theirs = [float(logp[i, ids[i + 1]]) for i in range(len(ids) - 1)]
        gap = max([gap] + [abs(a - b) for a, b in zip(theirs, line['logprobs'][1:])])
    moved = None
    if before:
        other = AutoModelForCausalLM.from_pretrained(before, dtype=torch.float32).state_dict()
        moved = max(float((tensor - other[name]).abs().max())
                    for name, tensor in model.state_dict().items())
    return {'logp_gap': gap, 'chat_template': bool(tokenizer.chat_template), 'moved': moved}


def of_llama_cpp(program, path):
    import llama_cpp
    quiet = llama_cpp.llama_log_callback(lambda *_: None)
    llama_cpp.llama_log_set(quiet, ctypes.c_void_p(0))
    model = llama_cpp.Llama(path, n_ctx=256, n_threads=2, type_k=0, type_v=0, flash_attn=False,
                            verbose=False)
    ours = ask(program, ['generate', '--model', path, '--temperature', '0', '--max-tokens',
                         str(TOKENS)], [{'prompt': prompt} for prompt in PROMPTS])
    equal = 0
    for prompt, line in zip(PROMPTS, ours):
        ids = model.tokenize(prompt.encode(), add_bos=False, special=True)
        theirs = []
        model.reset()
        for token in model.generate(ids, temp=0.0):
            theirs.append(token)
            if len(theirs) == TOKENS or token == model.token_eos():
                break
        equal += theirs == line['ids']
    return {'prompts': len(PROMPTS), 'equal': equal, 'answer': ours[0]['text']}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('program')
    parser.add_argument('run')
    parser.add_argument('--before')
    words = parser.parse_args()
    directory = newest(words.run)
    said = {'checkpoint': directory,
            'transformers': of_transformers(words.program, directory, words.before)}
    with tempfile.TemporaryDirectory() as place:
        path = os.path.join(place, 'out.gguf')
        subprocess.run([words.program, 'export', directory, path], check=True,
                       stdout=subprocess.DEVNULL)
        said['llama_cpp'] = of_llama_cpp(words.program, path)
    print(json.dumps(said), flush=True)
    good = said['transformers']['logp_gap'] <= 1e-4 and said['llama_cpp']['equal'] > 0
    os._exit(0 if good else 1)  # llama_cpp's own clean-up complains when the interpreter ends


if __name__ == '__main__':
    sys.exit(main())
