#!/usr/bin/env python3
"""decode_llama.py BENCH_DECODE_MODEL SCOPE_RUNTIME MODEL [--dtypes f32,bf16] [--batches 1,8]

Decoding of a real model, ours beside llama.cpp's on a GGUF that `export` makes of MODEL: F32 beside
f32, BF16 beside bf16, Q8_0 beside int8. Both hold the model in memory, on 2 threads, and take turns
(A, B, A, B, ...): `--rounds` rounds a batch after one that is thrown away. A round: sequences with
different prompts of --prompt tokens are filled, then --response tokens of each are decoded
greedily, all sequences a step. llama.cpp: one llama_decode a step, a KV cache of its own for each
sequence (or one for all with --unified), f16 keys and values, its default; of its time only
llama_decode counts: the argmax is ours to pay alone.

One JSON object a batch: medians, and the median of the rounds' ratios with its range and a
95 % interval (Student, of the logarithms). `share` is ours over what reading weights and KV at the
speed of memory allows, measured before each of our rounds.
"""
import argparse
import ctypes
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time

try:
    import llama_cpp as ll
    import numpy as np
except ImportError:
    sys.exit('decode_llama.py: this Python has no llama_cpp: nothing to compare with')

FORMS = {'f32': 'f32', 'bf16': 'bf16', 'int8': 'q8_0'}
STUDENT = (0, 12.7, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23)  # 97.5 %, by freedom


class Theirs:
    def __init__(self, path, options):
        params = ll.llama_model_default_params()
        params.n_gpu_layers = 0
        self.options = options
        self.model = ll.llama_model_load_from_file(path.encode(), params)
        if not self.model:
            sys.exit(f'decode_llama.py: {path}: llama.cpp cannot load it')
        self.vocab = ll.llama_vocab_n_tokens(ll.llama_model_get_vocab(self.model))

    def run(self, batch):
        """(prompt tokens/s, decoded tokens/s) of one round."""
        prompt, response = self.options.prompt, self.options.response
        params = ll.llama_context_default_params()
        params.n_ctx = batch * (-(-(prompt + response) // 256) * 256)
        params.n_batch = params.n_ubatch = 512
        params.n_seq_max = batch
        params.n_threads = params.n_threads_batch = 2
        params.kv_unified = self.options.unified
        context = ll.llama_init_from_model(self.model, params)
        tokens = ll.llama_batch_init(512, 0, 1)
        random = np.random.default_rng(1)
        prompts = random.integers(0, self.vocab, (batch, prompt))
        last = [0] * batch
        spent = self.decode(context, tokens, [(int(prompts[s, t]), t, s, t + 1 == prompt, None)
                                              for s in range(batch) for t in range(prompt)], last)
        fill, decode = spent, 0.0
        for step in range(response - 1):
            decode += self.decode(context, tokens, [(last[s], prompt + step, s, True, None)
                                                    for s in range(batch)], last)
        ll.llama_batch_free(tokens)
        ll.llama_free(context)
        return batch * prompt / fill, batch * (response - 1) / decode

    def decode(self, context, batch, rows, last):
        """Feeds rows (token, position, sequence, wants logits), 512 a call; returns the seconds."""
        seconds = 0.0
        for first in range(0, len(rows), 512):
            part = rows[first:first + 512]
            batch.n_tokens = len(part)
            for i, (token, position, sequence, wanted, _) in enumerate(part):
                batch.token[i], batch.pos[i], batch.n_seq_id[i] = token, position, 1
                batch.seq_id[i][0], batch.logits[i] = sequence, wanted
            begin = time.perf_counter()
            if ll.llama_decode(context, batch) != 0:
                sys.exit('decode_llama.py: llama_decode failed')
            ll.llama_synchronize(context)
            seconds += time.perf_counter() - begin
            for i, (_, _, sequence, wanted, _) in enumerate(part):
                if wanted:
                    logits = ll.llama_get_logits_ith(context, i)
                    last[sequence] = int(np.ctypeslib.as_array(logits, (self.vocab,)).argmax())
        return seconds


class Ours:
    def __init__(self, program, model, dtype, options):
        self.process = subprocess.Popen(
            [program, '--model', model, '--dtype', dtype, '--prompt', str(options.prompt),
             '--response', str(options.response), '--turns'], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True)

    def run(self, batch):
        self.process.stdin.write(f'{batch}\n')
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


def ratio_of(ours, theirs):
    logs = [math.log(a / b) for a, b in zip(ours, theirs)]
    middle, count = statistics.mean(logs), len(logs)
    half = (STUDENT[min(count - 1, 10)] * statistics.stdev(logs) / count ** 0.5
            if count > 1 else math.inf)
    return {'ratio': round(math.exp(statistics.median(logs)), 3),
            'range': [round(math.exp(f(logs)), 3) for f in (min, max)],
            'interval': [round(math.exp(middle + s * half), 3) for s in (-1, 1)]}


def compare(ours, theirs, dtype, batch, rounds):
    pairs = [(ours.run(batch), theirs.run(batch)) for _ in range(rounds + 1)][1:]
    rates = [a['tokens_per_s'] for a, _ in pairs], [b[1] for _, b in pairs]
    fills = [a['prompt_tokens_per_s'] for a, _ in pairs], [b[0] for _, b in pairs]
    middle = lambda key: statistics.median(a[key] for a, _ in pairs)
    print(json.dumps({
        'dtype': dtype, 'batch': batch, 'rounds': rounds,
        'ours_tokens_per_s': round(statistics.median(rates[0]), 1),
        'theirs_tokens_per_s': round(statistics.median(rates[1]), 1), **ratio_of(*rates),
        'share': middle('share'), 'read_gb_per_s': middle('read_gb_per_s'),
        'ours_prompt_tokens_per_s': round(statistics.median(fills[0])),
        'theirs_prompt_tokens_per_s': round(statistics.median(fills[1])),
        'prompt_ratio': ratio_of(*fills)['ratio']}), flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('program')
    parser.add_argument('scope_runtime')
    parser.add_argument('model')
    parser.add_argument('--dtypes', default='f32,bf16,int8')
    parser.add_argument('--batches', default='1,8,32')
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--prompt', type=int, default=128)
    parser.add_argument('--response', type=int, default=64)
    parser.add_argument('--unified', action='store_true')
    parser.add_argument('--keep', help='directory for the GGUF files, to be used again')
    options = parser.parse_args()
    quiet = ll.llama_log_callback(lambda *_: None)
    ll.llama_log_set(quiet, ctypes.c_void_p(0))
    ll.llama_backend_init()
    with tempfile.TemporaryDirectory() as made:
        for dtype in options.dtypes.split(','):
            path = os.path.join(options.keep or made, f'{FORMS[dtype]}.gguf')
            if not os.path.exists(path):
                subprocess.run([options.scope_runtime, 'export', options.model, path, '--dtype',
                                FORMS[dtype]], check=True, stdout=subprocess.DEVNULL)
            ours = Ours(options.program, options.model, dtype, options)
            theirs = Theirs(path, options)
            for batch in options.batches.split(','):
                compare(ours, theirs, dtype, int(batch), options.rounds)
            ours.process.stdin.close()
            ours.process.wait()
            ll.llama_model_free(theirs.model)


main()
