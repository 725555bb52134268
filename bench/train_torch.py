#!/usr/bin/env python3
"""The training step of bench/train.c in eager PyTorch, two threads: same shapes, rows, optimiser.

    python bench/train_torch.py [REPEATS] [tiny|smollm2]

Rows are padded to the longest, as a plain PyTorch trainer does; only real tokens are counted.
Prints one JSON object. Exit code 3 when torch is absent.
smollm2: fused attention, fused cross-entropy a token and no entropies, which ours computes too.
extra_bytes: the peak of resident memory, less what importing torch took, weights and moments.
"""
import json
import resource
import sys
import time

try:
    import torch
    import torch.nn.functional as F
except ImportError:
    print("train_torch: this python has no torch", file=sys.stderr)
    sys.exit(3)

TINY = dict(layers=2, hidden=96, heads=3, kv_heads=3, ffn=256, vocab=21, rows=128, prompt=26,
            length=64, vary=29, theta=1e4, tied=False)
SMOLLM2 = dict(layers=30, hidden=576, heads=9, kv_heads=3, ffn=1536, vocab=49152, rows=8, prompt=1,
               length=512, vary=1, theta=1e5, tied=True)


class Norm(torch.nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(width))

    def forward(self, x):
        if hasattr(F, "rms_norm"):
            return F.rms_norm(x, self.weight.shape, self.weight, 1e-6)
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.weight


def linear(n, k):
    return torch.nn.Linear(k, n, bias=False)


def rotate(x, cosine, sine):
    a, b = x.chunk(2, -1)
    return torch.cat((a * cosine - b * sine, b * cosine + a * sine), -1)


class Layer(torch.nn.Module):
    def __init__(self, c):
        super().__init__()
        hidden, ffn = c["hidden"], c["ffn"]
        self.heads, self.kv_heads = c["heads"], c["kv_heads"]
        self.head_dim = hidden // self.heads
        kv = self.kv_heads * self.head_dim
        self.norm1, self.norm2 = Norm(hidden), Norm(hidden)
        self.q, self.o = linear(hidden, hidden), linear(hidden, hidden)
        self.k, self.v = linear(kv, hidden), linear(kv, hidden)
        self.gate, self.up = linear(ffn, hidden), linear(ffn, hidden)
        self.down = linear(hidden, ffn)

    def forward(self, x, cosine, sine, mask):
        rows, length, hidden = x.shape
        y = self.norm1(x)
        q, k, v = (f(y).view(rows, length, heads, self.head_dim).transpose(1, 2) for f, heads in
                   ((self.q, self.heads), (self.k, self.kv_heads), (self.v, self.kv_heads)))
        q, k = rotate(q, cosine, sine), rotate(k, cosine, sine)
        if self.heads > self.kv_heads:
            k, v = (x.repeat_interleave(self.heads // self.kv_heads, 1) for x in (k, v))
        if hasattr(F, "scaled_dot_product_attention"):
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            y = torch.softmax(q @ k.transpose(-1, -2) * self.head_dim ** -0.5 + mask, -1) @ v
        x = x + self.o(y.transpose(1, 2).reshape(rows, length, hidden))
        y = self.norm2(x)
        return x + self.down(F.silu(self.gate(y)) * self.up(y))


class Model(torch.nn.Module):
    def __init__(self, c, length):
        super().__init__()
        self.embedding = torch.nn.Embedding(c["vocab"], c["hidden"])
        self.layers = torch.nn.ModuleList(Layer(c) for _ in range(c["layers"]))
        self.norm, self.head = Norm(c["hidden"]), linear(c["vocab"], c["hidden"])
        if c["tied"]:
            torch.nn.init.normal_(self.embedding.weight, std=0.02)
            self.head.weight = self.embedding.weight
        dim = c["hidden"] // c["heads"]
        angle = torch.arange(length)[:, None] * c["theta"] ** (-torch.arange(0, dim, 2) / dim)
        self.cosine, self.sine = angle.cos(), angle.sin()
        self.mask = torch.full((length, length), float("-inf")).triu(1)

    def forward(self, tokens):
        x = self.embedding(tokens)
        for layer in self.layers:
            x = layer(x, self.cosine, self.sine, self.mask)
        return self.head(self.norm(x))


def status_bytes(key):
    with open("/proc/self/status", encoding="ascii") as file:
        return 1024 * next(int(line.split()[1]) for line in file if line.startswith(key))


def loss_of(model, tokens, coef, large):
    logits, target = model(tokens[:, :-1]), tokens[:, 1:]
    if large:
        taken = -F.cross_entropy(logits.flatten(0, 1), target.flatten(), reduction="none")
        return -(coef.flatten() * taken).sum()
    logp = torch.log_softmax(logits, -1)
    entropy = -(logp.detach().exp() * logp.detach()).sum(-1)  # a metric, as train.c computes it
    del entropy
    return -(coef * logp.gather(-1, target[:, :, None])[..., 0]).sum()


def main():
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    large = len(sys.argv) > 2 and sys.argv[2] == "smollm2"
    c = SMOLLM2 if large else TINY
    torch.set_num_threads(2)
    torch.manual_seed(1)
    torch.randn(64, 64) @ torch.randn(64, 64)  # the libraries' own buffers belong to the import
    before = status_bytes("VmRSS")
    lengths = [c["length"] + i * 11 % c["vary"] for i in range(c["rows"])]  # as bench/train.c
    longest = max(lengths)
    tokens = torch.randint(c["vocab"], (c["rows"], longest))
    coef = torch.zeros(c["rows"], longest - 1)
    for i, length in enumerate(lengths):
        coef[i, c["prompt"] - 1:length - 1] = torch.randn(length - c["prompt"]) / 6000
    model = Model(c, longest - 1)
    parameters = sum(p.numel() for p in model.parameters())
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-4, weight_decay=0.01)
    best = best_cpu = float("inf")
    for i in range(repeats + 1):
        start, cpu_start = time.perf_counter(), time.process_time()
        optimiser.zero_grad()
        loss_of(model, tokens, coef, large).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        if i > 0:  # the first one warms up
            best = min(best, time.perf_counter() - start)
            best_cpu = min(best_cpu, time.process_time() - cpu_start)
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps(dict(torch=torch.__version__, threads=2, parameters=parameters,
                          tokens=sum(lengths), seconds=best, cpu_seconds=best_cpu,
                          tokens_per_second=sum(lengths) / best,
                          extra_bytes=peak - before - 12 * parameters)))


if __name__ == "__main__":
    main()
