#!/usr/bin/env python3
"""oracle_transformers.py DIRECTORY EXPECTED - does a directory we wrote mean to
transformers what it means to us?

EXPECTED holds what the C side computed, little-endian: u32 rows, u32 vocab, u32 floats, then
`rows` token ids
(u32), rows * vocab log-probabilities (f32) of one sequence, and all parameters
(f32) in the order of the
tensor names on the lines of standard input. Weights must be bit-equal, log-probabilities within
1e-4.
"""
import struct
import sys

import numpy as np
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


def main():
    directory, expected = sys.argv[1:]
    with open(expected, 'rb') as file:
        data = file.read()
    rows, vocab, floats = struct.unpack('<III', data[:12])
    tokens = np.frombuffer(data, '<u4', rows, 12).astype(np.int64)
    logp = np.frombuffer(data, '<f4', rows * vocab, 12 + 4 * rows).reshape(rows, vocab)
    weights = np.frombuffer(data, '<f4', floats, 12 + 4 * rows + 4 * rows * vocab)
    model = AutoModelForCausalLM.from_pretrained(directory, torch_dtype=torch.float32).eval()
    state, at = model.state_dict(), 0
    for name in sys.stdin.read().split():
        theirs = state[name].numpy().reshape(-1)
        if not np.array_equal(theirs.view(np.uint32), weights[at:at + theirs.size].view(np.uint32)):
            sys.exit(f'{name} differs')
        at += theirs.size
    if at != floats or at != sum(p.numel() for p in model.parameters()):
        sys.exit(f'{at} of {floats} parameters compared')
    with torch.no_grad():
        theirs = model(torch.from_numpy(tokens)[None]).logits[0].log_softmax(-1).numpy()
    worst = float(np.abs(theirs - logp).max())
    if worst > 1e-4:
        sys.exit(f'log-probabilities differ by {worst}')
    tokenizer = AutoTokenizer.from_pretrained(directory)
    text = '(9*9)+1=\n\n\\boxed{82}'
    ids = tokenizer(text)['input_ids']
    if ids != [16, 11, 14, 11, 17, 12, 3, 15, 19, 20, 10, 4, 18]:
        sys.exit(f'tokenizer gives {ids}')
    if tokenizer.pad_token_id != 0 or tokenizer.eos_token_id != 1:
        sys.exit('pad or eos is not what we wrote')
    print(f'{at} parameters bit-equal, log-probabilities within {worst:.1e}')


main()
