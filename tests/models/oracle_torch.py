#!/usr/bin/env python3
"""Records what PyTorch and transformers compute for small random models: fixtures of the C tests.

Weights are not stored: both sides make them from the tensor's name (see `weights`), so that a
fixture is inputs and results only. Run with a python that has torch and transformers:
    python tests/models/oracle_torch.py tests/fixtures
"""
import json
import os
import sys

import torch
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'oracle'))
from named_weights import numbers, weights

MODELS = {
    "llama_untied": dict(model_type="llama", layers=2, hidden=16, heads=4, kv_heads=2, ffn=24,
                         vocab=11, tied=False, rope_theta=10000.0, rms_eps=1e-5),
    "llama_tied": dict(model_type="llama", layers=1, hidden=12, heads=3, kv_heads=3, ffn=20,
                       vocab=9, tied=True, rope_theta=500000.0, rms_eps=1e-5),
    "qwen2": dict(model_type="qwen2", layers=2, hidden=8, heads=2, kv_heads=1, ffn=12, vocab=7,
                  tied=True, rope_theta=1000000.0, rms_eps=1e-6),
    "qwen2_reward": dict(model_type="qwen2", layers=2, hidden=8, heads=2, kv_heads=1, ffn=12,
                         vocab=7, tied=False, rope_theta=10000.0, rms_eps=1e-6, reward=True),
}
ADAMW = dict(lr=4e-3, beta1=0.9, beta2=0.98, eps=1e-8, weight_decay=0.1, grad_clip=1.0, steps=20)


def build(c):
    shape = dict(vocab_size=c["vocab"], hidden_size=c["hidden"], intermediate_size=c["ffn"],
                 num_hidden_layers=c["layers"], num_attention_heads=c["heads"],
                 num_key_value_heads=c["kv_heads"], tie_word_embeddings=c["tied"],
                 rope_theta=c["rope_theta"], rms_norm_eps=c["rms_eps"], max_position_embeddings=64)
    if c["model_type"] == "llama":
        model = LlamaForCausalLM(LlamaConfig(**shape))
    else:
        model = Qwen2ForCausalLM(Qwen2Config(**shape))
    if c.get("reward"):
        h = c["hidden"]
        model.lm_head = torch.nn.Identity()
        model.score = torch.nn.Sequential(torch.nn.Linear(h, h), torch.nn.ReLU(),
                                          torch.nn.Linear(h, 2))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(weights(name, parameter.shape))
    return model.float().eval()


def rows_of(c):
    """Four rows of different lengths, temperatures and entropy coefficients."""
    rows = []
    for i, (count, first) in enumerate([(9, 3), (2, 1), (14, 6), (5, 1)]):
        draw = numbers(f"row{i}", 2 * count)
        rows.append(dict(tokens=[int((x + 0.5) * c["vocab"]) for x in draw[:count]], first=first,
                         temperature=[1.0, 0.7, 1.3, 1.0][i],
                         entropy_coef=[0.0, 0.02, -0.03, 0.0][i],
                         coef=[0.0] * first + [x + 0.4 for x in draw[count + first:]]))
    return rows


def predictions(model, row):
    tokens = torch.tensor([row["tokens"]])
    logits = model(tokens).logits[0, :-1] / row["temperature"]
    logp = torch.log_softmax(logits, -1)
    taken = logp.gather(1, tokens[0, 1:, None])[:, 0]
    entropy = -(logp.exp() * logp).sum(-1)
    first = row["first"] - 1
    return taken[first:], entropy[first:]


def objective(model, rows):
    total = 0.0
    for row in rows:
        taken, entropy = predictions(model, row)
        total = total + (torch.tensor(row["coef"][row["first"]:]) * taken).sum()
        total = total + row["entropy_coef"] * entropy.sum()
    return total


def adamw(model, rows):
    decay = [p for p in model.parameters() if p.dim() == 2]
    plain = [p for p in model.parameters() if p.dim() == 1]
    optimiser = torch.optim.AdamW(
        [dict(params=decay, weight_decay=ADAMW["weight_decay"]),
         dict(params=plain, weight_decay=0.0)],
        lr=ADAMW["lr"], betas=(ADAMW["beta1"], ADAMW["beta2"]), eps=ADAMW["eps"])
    norms, objectives = [], []
    for _ in range(ADAMW["steps"]):
        optimiser.zero_grad()
        value = objective(model, rows)
        (-value).backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(model.parameters(), ADAMW["grad_clip"])))
        objectives.append(float(value))
        optimiser.step()
    return norms, objectives


def listed(tensor):
    return [float(f"{x:.8g}") for x in tensor.detach().flatten().tolist()]


def record(name, c):
    model, rows = build(c), rows_of(c)
    out = dict(config=c, rows=rows)
    if c.get("reward"):
        for row in rows:
            hidden = model.model(torch.tensor([row["tokens"]])).last_hidden_state[0]
            row["probability"] = listed(torch.softmax(model.score(hidden), -1)[:, 1])
        return out
    for row in rows:
        taken, entropy = predictions(model, row)
        row["logp"], row["entropy"] = listed(taken), listed(entropy)
    objective(model, rows).backward()
    out["gradients"] = {n: listed(p.grad) for n, p in model.named_parameters()}
    norms, objectives = adamw(model, rows)
    out["adamw"] = dict(ADAMW, norms=norms, objectives=objectives,
                        after={n: listed(p) for n, p in model.named_parameters()})
    return out


def main():
    torch.manual_seed(0)
    torch.set_num_threads(1)
    for name, c in MODELS.items():
        with open(f"{sys.argv[1]}/torch_{name}.json", "w") as file:
            json.dump(record(name, c), file, separators=(",", ":"))
            file.write("\n")


if __name__ == "__main__":
    main()
