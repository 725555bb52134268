#!/usr/bin/env python3
"""Records what PyTorch and transformers compute for small random models of every family.

For each model: logits in float32; logits in bfloat16, arithmetic included, of the model with its
matrices a quarter as big (logits below 1, where bfloat16 has steps of 0.004); and for language
models the hybrid objective (policy tokens clipped, teacher tokens weighted) with its gradient of
every tensor, and the parameters after 20 steps of AdamW. Weights are not stored: both sides make
them from the tensors' names. Needs torch and transformers:
    python tests/oracle/families.py tests/fixtures
Files: family_NAME.json (config.json of transformers, rows, scalars), family_NAME.safetensors.
"""
import json
import math
import sys

import torch
from safetensors.torch import save_file
from transformers import (LlamaConfig, LlamaForCausalLM, LlamaForTokenClassification, Qwen2Config,
                          Qwen2ForCausalLM, Qwen2ForTokenClassification, Qwen3Config,
                          Qwen3ForCausalLM)

from named_weights import numbers, weights

LANGUAGE = {"llama": (LlamaConfig, LlamaForCausalLM), "qwen2": (Qwen2Config, Qwen2ForCausalLM),
            "qwen3": (Qwen3Config, Qwen3ForCausalLM)}
CLASSES = {"llama": LlamaForTokenClassification, "qwen2": Qwen2ForTokenClassification}
LLAMA3 = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=16)


def shape(kind, layers, hidden, heads, kv, ffn, vocab, theta, eps, head="language", **more):
    """head_dim only where given: then heads * head_dim need not be hidden."""
    return dict(kind=kind, head=head, used=more.pop("used", vocab), config=dict(
        num_hidden_layers=layers, hidden_size=hidden, num_attention_heads=heads,
        num_key_value_heads=kv, intermediate_size=ffn, vocab_size=vocab, rms_norm_eps=eps,
        max_position_embeddings=64, bos_token_id=None, pad_token_id=None, eos_token_id=[1, 3],
        rope_parameters=more.pop("rope", dict(rope_type="default")) | dict(rope_theta=theta),
        **more))


MODELS = {
    "llama_odd": shape("llama", 2, 15, 5, 5, 11, 23, 10000.0, 1e-5, head_dim=6),
    "llama_heads": shape("llama", 1, 24, 3, 3, 19, 19, 500000.0, 1e-5, tie_word_embeddings=False),
    "smollm2": shape("llama", 3, 12, 3, 1, 17, 17, 100000.0, 1e-5, tie_word_embeddings=True),
    "llama31": shape("llama", 2, 12, 4, 1, 15, 21, 500000.0, 1e-5, rope=LLAMA3, head_dim=8),
    "llama32": shape("llama", 2, 16, 2, 1, 18, 25, 500000.0, 1e-5, tie_word_embeddings=True,
                     rope=dict(LLAMA3, factor=32.0)),
    "llama_bias": shape("llama", 2, 12, 2, 2, 18, 13, 10000.0, 1e-6, attention_bias=True),
    "llama_padded": shape("llama", 1, 14, 1, 1, 16, 40, 10000.0, 1e-5, used=31),
    "qwen2_tied": shape("qwen2", 2, 14, 7, 1, 19, 20, 1000000.0, 1e-6, tie_word_embeddings=True),
    "qwen2_untied": shape("qwen2", 2, 16, 4, 2, 13, 18, 1000000.0, 1e-6),
    "qwen2_math": shape("qwen2", 1, 20, 5, 1, 21, 22, 10000.0, 1e-6),
    "qwen3_tied": shape("qwen3", 2, 12, 4, 2, 17, 21, 1000000.0, 1e-6, head_dim=8,
                        tie_word_embeddings=True),
    "qwen3_untied": shape("qwen3", 1, 14, 2, 2, 15, 27, 1000000.0, 1e-6, head_dim=16),
    "qwen3_bias": shape("qwen3", 2, 14, 3, 1, 16, 16, 10000.0, 1e-6, head_dim=6,
                        attention_bias=True),
    "qwen2_prm": shape("qwen2", 2, 24, 2, 1, 27, 24, 10000.0, 1e-5, "reward"),
    "qwen2_classes": shape("qwen2", 2, 18, 3, 1, 21, 19, 10000.0, 1e-6, "classes"),
    "llama_classes": shape("llama", 1, 20, 2, 1, 18, 15, 10000.0, 1e-5, "classes", rope=LLAMA3),
}
ROWS = [(31, 12), (9, 3), (24, 8), (14, 1)]  # tokens, first response token
ADAMW = dict(lr=4e-3, beta1=0.9, beta2=0.98, eps=1e-8, weight_decay=0.1, grad_clip=1.0, steps=20)
LOSS = dict(clip_lo=0.2, clip_hi=0.28, clip_dual=3.0, suffix_lambda=0.7, suffix_gamma=0.1,
            entropy_coef=0.01, kl_beta=0.05)


def build(model, dtype, scale=1.0):
    config_class, language = LANGUAGE[model["kind"]]
    config = config_class(**model["config"])
    config._attn_implementation = "eager"
    if model["head"] == "classes":
        net = CLASSES[model["kind"]](config)
    else:
        net = language(config)
    config.architectures = [type(net).__name__]
    if model["head"] == "reward":
        h = config.hidden_size
        net.lm_head = torch.nn.Identity()
        net.score = torch.nn.Sequential(torch.nn.Linear(h, h), torch.nn.ReLU(),
                                        torch.nn.Linear(h, 2))
        config.architectures = ["Qwen2ForProcessRewardModel"]
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            values = weights(name, parameter.shape)
            parameter.copy_(values * scale if values.dim() == 2 else values)
    return net.to(dtype).eval(), config


def outputs(net, model, tokens):
    """[tokens, vocabulary] logits, or [tokens, 2] of a two-class head."""
    ids = torch.tensor([tokens])
    if model["head"] == "language":
        return net(ids).logits[0]
    hidden = net.model(ids).last_hidden_state[0]
    return net.score(hidden)


def rows_of(name, model):
    """Tokens, and for the objective: behaviour and reference log-probabilities near the model's
    own (filled in later), an advantage, and where the teacher goes on (mixed rows)."""
    rows = []
    for i, (count, first) in enumerate(ROWS):
        draw = numbers(f"{name}.row{i}", count)
        rows.append(dict(tokens=[int((x + 0.5) * model["used"]) for x in draw], first=first,
                         temperature=[1.0, 0.7, 1.0, 1.3][i],
                         advantage=[1.6, -0.5, 1.2, -1.1][i],
                         kept=[(count - first) // 2, count, (count - first) // 3, count][i]))
        rows[-1]["kept"] = min(rows[-1]["kept"], count - first)
    return rows


def predictions(net, model, row):
    logits = net(torch.tensor([row["tokens"]])).logits[0, row["first"] - 1:-1]
    logits = logits.clone()
    logits[:, model["used"]:] = -math.inf  # padding rows
    logp = torch.log_softmax(logits / row["temperature"], -1)
    taken = logp.gather(1, torch.tensor(row["tokens"][row["first"]:])[:, None])[:, 0]
    p = logp.exp()
    entropy = -(p * torch.where(p > 0, logp, torch.zeros_like(logp))).sum(-1)
    return taken, entropy


def draw_old(name, net, model, rows):
    for i, row in enumerate(rows):
        taken, _ = predictions(net, model, row)
        noise = torch.tensor(numbers(f"{name}.old{i}", 2 * len(taken)))
        row["anchor"] = listed(taken + 1.2 * noise[:len(taken)])
        row["reference"] = listed(taken + 0.8 * noise[len(taken):])


def objective(net, model, rows):
    """Equation 6 with Z = the minibatch's tokens; maximised."""
    total, count = 0.0, 0
    for row in rows:
        taken, entropy = predictions(net, model, row)
        a, kept = row["advantage"], row["kept"]
        ratio = (taken - torch.tensor(row["anchor"])).exp()
        clipped = ratio.clamp(1 - LOSS["clip_lo"], 1 + LOSS["clip_hi"])
        policy = torch.minimum(ratio * a, clipped * a)
        if a < 0:
            policy = torch.maximum(policy, torch.full_like(policy, a * LOSS["clip_dual"]))
        gap = torch.tensor(row["reference"]) - taken
        policy = policy - LOSS["kl_beta"] * (gap.exp() - 1 - gap)
        pi = taken.exp().detach()
        teacher = LOSS["suffix_lambda"] * pi / (pi + LOSS["suffix_gamma"]) * taken
        mask = (torch.arange(len(taken)) < kept).float()
        total = total + (mask * policy + (1 - mask) * teacher).sum()
        total = total + LOSS["entropy_coef"] * entropy.sum()
        count += len(taken)
    return total / count


def adamw(net, model, rows):
    decay = [p for p in net.parameters() if p.dim() == 2]
    plain = [p for p in net.parameters() if p.dim() == 1]
    optimiser = torch.optim.AdamW(
        [dict(params=decay, weight_decay=ADAMW["weight_decay"]),
         dict(params=plain, weight_decay=0.0)],
        lr=ADAMW["lr"], betas=(ADAMW["beta1"], ADAMW["beta2"]), eps=ADAMW["eps"])
    norms, objectives = [], []
    for _ in range(ADAMW["steps"]):
        optimiser.zero_grad()
        value = objective(net, model, rows)
        (-value).backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(net.parameters(), ADAMW["grad_clip"])))
        objectives.append(float(value.detach()))
        optimiser.step()
    return dict(ADAMW, norms=norms, objectives=objectives)


def listed(tensor):
    return [float(f"{x:.9g}") for x in tensor.detach().float().flatten().tolist()]


def record(name, model, directory):
    net, config = build(model, torch.float32)
    rows = rows_of(name, model)
    tensors = {f"logits.{i}": outputs(net, model, row["tokens"]).detach().contiguous()
               for i, row in enumerate(rows)}
    half, _ = build(model, torch.bfloat16, 0.25)
    exact, _ = build(model, torch.float32, 0.25)
    gap = 0.0
    for i, row in enumerate(rows):
        logits = outputs(half, model, row["tokens"]).detach().contiguous()
        tensors[f"bf16.{i}"] = logits  # stored as BF16: that is what they are
        gap = max(gap, (outputs(exact, model, row["tokens"]) - logits).abs().max().item())
    out = dict(name=name, used=model["used"], loss=LOSS, rows=rows,
               config={k: v for k, v in json.loads(config.to_json_string(False)).items()
                       if v is not None})
    if model["head"] == "language":
        draw_old(name, net, model, rows)
        objective(net, model, rows).backward()
        for n, p in net.named_parameters():
            tensors[f"gradient.{n}"] = p.grad.clone()
        out["adamw"] = adamw(net, model, rows)
        for n, p in net.named_parameters():
            tensors[f"after.{n}"] = p.detach().clone()
    with open(f"{directory}/family_{name}.json", "w") as file:
        json.dump(out, file, separators=(",", ":"))
        file.write("\n")
    save_file(tensors, f"{directory}/family_{name}.safetensors")
    size = max(tensors[f"logits.{i}"].abs().max().item() for i in range(len(rows)))
    print(f"{name:14} {sum(p.numel() for p in net.parameters()):6} parameters, |logit| <= "
          f"{size:.2f}, bfloat16 is off by {gap:.2g}")


def main():
    torch.manual_seed(0)
    torch.set_num_threads(1)
    for name, model in MODELS.items():
        record(name, model, sys.argv[1])


if __name__ == "__main__":
    main()
