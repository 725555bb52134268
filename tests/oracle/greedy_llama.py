#!/usr/bin/env python3
"""greedy_llama.py SCOPE_RUNTIME MODEL.gguf [DTYPE] - greedy text of ours beside llama.cpp's.

50 prompts x 64 tokens, llama.cpp with f32 keys and values, on the same f32 file. Where texts part,
the gap between the two tokens is taken from llama.cpp's own logits: under 1e-3 it is a tie.
Prints one JSON object; fails when fewer than 48 are equal or one differs without a tie.
"""
import ctypes
import json
import subprocess
import sys

import llama_cpp as ll
import numpy as np

WORDS = ('river', 'engine', 'garden', 'number', 'teacher', 'winter', 'window', 'market', 'music',
         'stone')
FORMS = ('The {} is', 'Write a story about a {}.', 'What is a {}? A {} is', 'If 3 {}s cost 12,',
         'def {}(x):\n    return')
PROMPTS = [form.replace('{}', word) for word in WORDS for form in FORMS]
TOKENS = 64


def main():
    program, path, dtype = sys.argv[1], sys.argv[2], (sys.argv[3:] + ['f32'])[0]
    lines = ''.join(json.dumps({'prompt': p}) + '\n' for p in PROMPTS)
    out = subprocess.run([program, 'generate', '--model', path, '--max-tokens', str(TOKENS),
                          '--dtype', dtype], input=lines, capture_output=True, text=True,
                         check=True).stdout
    ours = [json.loads(line)['ids'] for line in out.splitlines()]
    quiet = ll.llama_log_callback(lambda *_: None)
    ll.llama_log_set(quiet, ctypes.c_void_p(0))
    model = ll.Llama(path, n_ctx=256, n_threads=2, n_threads_batch=2, logits_all=False,
                     type_k=0, type_v=0, flash_attn=False, verbose=False)
    equal, ties, gaps = 0, 0, []
    for prompt, mine in zip(PROMPTS, ours):
        model.reset()
        model.eval(model.tokenize(prompt.encode(), add_bos=False, special=True))
        for i, token in enumerate(mine):
            logits = np.ctypeslib.as_array(ll.llama_get_logits_ith(model.ctx, -1),
                                           (model.n_vocab(),))
            best = int(logits.argmax())
            if best != token:
                gaps.append([prompt, i, float(logits[best] - logits[token])])
                ties += gaps[-1][2] < 1e-3
                break
            if i + 1 < len(mine):
                model.eval([token])
        else:
            equal += 1
    print(json.dumps({'prompts': len(PROMPTS), 'equal': equal, 'ties': ties, 'gaps': gaps}))
    return 0 if len(ours) == 50 and equal >= 48 and equal + ties == 50 else 1


if __name__ == '__main__':
    sys.exit(main())
