#!/usr/bin/env python3
"""decode_torch.py BENCH_DECODE [--rounds N] - our decoding beside an eager PyTorch loop.

Both sample 52 tokens a sequence after prompts of 26, at temperature 1, from a random tiny model
(2 layers of 96), with a KV cache, on 2 threads. The loop is what one writes by hand in PyTorch:
prefill, then one token of all sequences at a time; it is the faster of two ways to keep the cache
(torch.cat, or writing into one allocated tensor). A and B alternate; the ratio is that of the
medians. One JSON object a batch. Threads that wait for each other suffer most on a busy machine:
compare on a quiet one.
"""
import argparse
import json
import statistics
import subprocess
import sys
import time

try:
    import torch
    import torch.nn.functional as F
except ImportError:
    sys.exit('decode_torch.py: this Python has no torch: nothing to compare with')

V, D, L, H, FFN, PROMPT, RESPONSE = 21, 96, 2, 3, 256, 26, 52
K = D // H


class Layer(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.q, self.k, self.v, self.o = (torch.nn.Linear(D, D, bias=False) for _ in range(4))
        self.gate, self.up = (torch.nn.Linear(D, FFN, bias=False) for _ in range(2))
        self.down = torch.nn.Linear(FFN, D, bias=False)
        self.n1, self.n2 = (torch.nn.Parameter(torch.ones(D)) for _ in range(2))


def norm(x, w):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * w


def rotate(x, cos, sin):
    a, b = x[..., :K // 2], x[..., K // 2:]
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.head = torch.nn.Embedding(V, D), torch.nn.Linear(D, V, bias=False)
        self.layers, self.n = torch.nn.ModuleList(Layer() for _ in range(L)), torch.ones(D)
        angle = torch.arange(PROMPT + RESPONSE)[:, None] * 1e4 ** (-torch.arange(0, K, 2) / K)
        self.cos, self.sin = angle.cos(), angle.sin()

    def step(self, ids, at, cache, grow):
        """Logits after the last of ids [B, T], which stand at at..at+T; fills the cache."""
        B, T = ids.shape
        cos, sin = self.cos[at:at + T], self.sin[at:at + T]
        x = self.embed(ids)
        for i, layer in enumerate(self.layers):
            y = norm(x, layer.n1)
            q, k, v = (f(y).view(B, T, H, K).transpose(1, 2) for f in (layer.q, layer.k, layer.v))
            q, k = rotate(q, cos, sin), rotate(k, cos, sin)
            if grow:
                if at:
                    k, v = torch.cat((cache[i][0], k), 2), torch.cat((cache[i][1], v), 2)
                cache[i] = (k, v)
            else:
                cache[i][0][:, :, at:at + T], cache[i][1][:, :, at:at + T] = k, v
                k, v = cache[i][0][:, :, :at + T], cache[i][1][:, :, :at + T]
            score = q @ k.transpose(-1, -2) * K ** -0.5
            if T > 1:
                score = score + torch.full((T, T), float('-inf')).triu(1)
            y = (score.softmax(-1) @ v).transpose(1, 2).reshape(B, T, D)
            x = x + layer.o(y)
            y = norm(x, layer.n2)
            x = x + layer.down(F.silu(layer.gate(y)) * layer.up(y))
        return self.head(norm(x[:, -1], self.n))


@torch.no_grad()
def torch_rate(model, batch, grow, seconds):
    begin, tokens = time.perf_counter(), 0
    while time.perf_counter() - begin < seconds or tokens == 0:
        ids = torch.randint(2, 19, (batch, PROMPT))
        cache = [None if grow else tuple(torch.empty(batch, H, PROMPT + RESPONSE, K)
                                         for _ in range(2)) for _ in range(L)]
        for i in range(RESPONSE):
            logp = model.step(ids, 0 if i == 0 else PROMPT + i - 1, cache, grow).log_softmax(-1)
            ids = torch.multinomial(logp.exp(), 1)
            logp.gather(1, ids)  # the behaviour log-probability is part of the job
            tokens += batch
    return tokens / (time.perf_counter() - begin)


def our_rate(program, batch, seconds):
    lines = subprocess.run([program, '--batch', str(batch), '--seconds', str(seconds)], check=True,
                           capture_output=True, text=True).stdout.splitlines()
    return json.loads(lines[-1])['tokens_per_s']


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('program')
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--seconds', type=float, default=1)
    options = parser.parse_args()
    torch.manual_seed(1)
    torch.set_num_threads(2)
    model = Model().eval()
    for batch in (1, 8, 64, 128):
        ours, theirs = [], []
        torch_rate(model, batch, True, 0.2)
        for _ in range(options.rounds):
            ours.append(our_rate(options.program, batch, options.seconds))
            theirs.append(max(torch_rate(model, batch, grow, options.seconds / 2)
                              for grow in (True, False)))
        ratio = statistics.median(ours) / statistics.median(theirs)
        print(json.dumps({'batch': batch, 'ours_tokens_per_s': round(statistics.median(ours)),
                          'torch_tokens_per_s': round(statistics.median(theirs)),
                          'ratio': round(ratio, 2), 'ratio_range': [
                              round(min(a / b for a, b in zip(ours, theirs)), 2),
                              round(max(a / b for a, b in zip(ours, theirs)), 2)]}), flush=True)


main()
