#!/usr/bin/env python3
"""test_transformers.py - what we save, Hugging Face's transformers opens, bit for bit.

Runs where SCOPE_PYTHON names a Python that has torch and transformers.
"""
import hashlib
import json
import os
import struct
import subprocess

from harness import PATIENCE_S, Skip, expect, expect_equal, main

# Prints {name: hex of the tensor's bytes' hash} and what the tokenizer makes of a problem.
READER = '''
import hashlib, json, sys
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
model = AutoModelForCausalLM.from_pretrained(sys.argv[1])
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
hashes = {name: hashlib.sha256(tensor.contiguous().numpy().tobytes()).hexdigest()
          for name, tensor in model.state_dict().items()}
ids = tokenizer(sys.argv[2], add_special_tokens=False)['input_ids']
with torch.no_grad():
    out = model.generate(torch.tensor([ids]), max_new_tokens=60, do_sample=False)
print(json.dumps({'dtype': str(model.dtype), 'hashes': hashes,
                  'answer': tokenizer.decode(out[0][len(ids):], skip_special_tokens=True)}))
'''


def transformers():
    python = os.environ.get('SCOPE_PYTHON')
    if not python:
        raise Skip('SCOPE_PYTHON names no Python with torch and transformers')
    return python


def saved(content):
    """A safetensors file as {name: bytes}."""
    length = struct.unpack('<Q', content[:8])[0]
    header, data = json.loads(content[8:8 + length]), content[8 + length:]
    return {name: data[slice(*tensor['data_offsets'])] for name, tensor in header.items()
            if name != '__metadata__'}


def test_checkpoint_opens_with_equal_weights(world):
    python = transformers()
    world.train('--max-steps', '2')
    directory = world.path('runs', 'run', 'checkpoints', 'step_000002', 'hf')
    done = subprocess.run([python, '-c', READER, directory, '(1+2)+3='], capture_output=True,
                          text=True, timeout=PATIENCE_S, check=False)
    expect_equal(done.returncode, 0, done.stderr)
    read = json.loads(done.stdout.splitlines()[-1])
    expect_equal(read['dtype'], 'torch.float32', 'dtype')
    ours = {name: hashlib.sha256(tensor).hexdigest()
            for name, tensor in saved(world.weights(2)).items()}
    expect(ours, 'the file has no tensors')
    expect_equal({name: read['hashes'].get(name) for name in ours}, ours, 'hashes of tensors')
    extra = set(read['hashes']) - set(ours)
    expect(all('inv_freq' in name or name == 'lm_head.weight' for name in extra), extra)
    expect('1+2=' in read['answer'], f'it answers {read["answer"]!r}: not what it was taught')


if __name__ == '__main__':
    main()
