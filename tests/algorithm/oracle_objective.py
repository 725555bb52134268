"""Writes tests/fixtures/objective.json: what PyTorch's autograd says of the hybrid objective.

Why: the C code writes derivatives by hand; here they come from a loss written as in the papers and
from backward(). Run by hand when the objective changes:
python oracle_objective.py > ../fixtures/objective.json
"""
import json
import torch

torch.manual_seed(7)
torch.set_default_dtype(torch.float64)


def f32(tensor):
    return [float(x) for x in tensor.detach().float().double()]


def rows(count, mixed):
    """Rows of (logp, prox, mu, ref, entropy, teacher mask); values representable in float32."""
    out = []
    for i in range(count):
        n = int(torch.randint(3, 9, (1,)))
        logp = -torch.rand(n) * 4
        prox = logp + torch.randn(n) * 0.35
        mu = prox + torch.randn(n) * 0.25
        ref = logp + torch.randn(n) * 0.5
        teacher = torch.zeros(n)
        if mixed and i % 3 == 0:
            teacher[int(torch.randint(0, n, (1,))):] = 1
        out.append([t.float().double() for t in (logp, prox, mu, ref, torch.rand(n), teacher)])
    return out


def advantages(rewards, std, eps):
    deviation = rewards - rewards.mean()
    if std == "none":
        return deviation
    return deviation / (rewards.std(unbiased=std == "sample") + eps)


def aggregate(per_token, agg, const):
    """As verl's agg_loss: one list entry a row."""
    if agg == "token_mean":
        return torch.cat(per_token).sum() / sum(len(x) for x in per_token)
    if agg == "seq_mean_token_mean":
        return torch.stack([x.mean() for x in per_token]).mean()
    return torch.stack([x.sum() / const for x in per_token]).mean()


def case(o, mixed):
    data = rows(8, mixed)
    rewards = (torch.rand(8) < 0.4).double()
    rewards[0], rewards[1] = 1, 0
    adv = advantages(rewards, o["adv_std"], o["adv_eps"]).float().double()
    leaves, terms, entropies = [], [], []
    for (logp, prox, mu, ref, entropy, teacher), a in zip(data, adv):
        logp = logp.clone().requires_grad_(True)
        entropy = entropy.clone().requires_grad_(True)
        anchor = prox if o["correction"] == "decoupled" else mu
        ratio = torch.exp(torch.clamp(logp - anchor, -20, 20))
        if o["clip_enable"]:
            clipped = torch.clamp(ratio, 1 - o["clip_lo"], 1 + o["clip_hi"])
            loss = torch.maximum(-a * ratio, -a * clipped)
            if o["clip_dual"] > 0 and a < 0:
                loss = torch.minimum(loss, -a * o["clip_dual"])
        else:
            loss = -a * ratio
        kl = torch.exp(ref - logp) - (ref - logp) - 1
        weight = torch.ones_like(logp)
        if o["correction"] == "decoupled" and o["tis"] == "token":
            weight = torch.clamp(torch.exp(prox - mu), max=o["tis_cap"])
        if o["correction"] == "decoupled" and o["tis"] == "sequence":
            total = ((prox - mu) * (1 - teacher)).sum()
            weight = torch.clamp(torch.exp(total), max=o["tis_cap"]).expand_as(logp)
        on_policy = weight.detach() * (-loss - o["kl_beta"] * kl)
        pi = torch.exp(logp)
        shape = pi / (pi + o["suffix_gamma"])
        if o["suffix_form"] == "wll_sg":
            off = shape.detach() * logp
        elif o["suffix_form"] == "luffy":
            off = shape
        else:
            off = logp
        off = off * o["suffix_lambda"] * (a if o["suffix_use_adv"] else 1)
        value = torch.where(teacher > 0, off, on_policy) + o["entropy_coef"] * entropy
        leaves.append((logp, entropy))
        terms.append(value)
    objective = aggregate(terms, o["agg"], o["agg_const"])
    objective.backward()
    return {
        "options": o,
        "rewards": [float(r) for r in rewards],
        "advantages": f32(adv),
        "objective": float(objective),
        "rows": [{"logp": f32(d[0]), "prox": f32(d[1]), "mu": f32(d[2]), "ref": f32(d[3]),
                  "entropy": f32(d[4]), "kept": int((1 - d[5]).sum()),
                  "coef": [float(g) for g in leaf[0].grad],
                  "entropy_coef": float(leaf[1].grad[0])} for d, leaf in zip(data, leaves)],
    }


BASE = {"adv_std": "sample", "adv_eps": 1e-6, "clip_enable": True, "clip_lo": 0.2, "clip_hi": 0.2,
        "clip_dual": 3.0, "suffix_form": "wll_sg", "suffix_use_adv": False, "suffix_lambda": 1.0,
        "suffix_gamma": 0.1, "agg": "token_mean", "agg_const": 2048.0, "kl_beta": 0.0,
        "entropy_coef": 0.0, "correction": "decoupled", "tis": "token", "tis_cap": 2.0}
CASES = [
    ({}, False), ({}, True),
    ({"adv_std": "population", "clip_hi": 0.28, "clip_dual": 0.0}, True),
    ({"adv_std": "none", "agg": "seq_sum_const", "agg_const": 100.0, "clip_enable": False}, True),
    ({"agg": "seq_mean_token_mean", "kl_beta": 0.05, "entropy_coef": 0.01}, True),
    ({"suffix_form": "luffy", "suffix_use_adv": True, "correction": "bypass"}, True),
    ({"suffix_form": "nll", "suffix_lambda": 0.3, "tis": "sequence", "tis_cap": 1.5}, True),
    ({"suffix_form": "luffy", "suffix_gamma": 0.5, "tis": "off", "clip_dual": 1.3}, True),
]
print(json.dumps([case({**BASE, **change}, mixed) for change, mixed in CASES], indent=None))
