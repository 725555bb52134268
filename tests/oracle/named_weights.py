"""named_weights.py - weights of test models, made from the tensors' names on both sides.

Why: so a fixture is inputs and results only. The C side is tests/models/recorded.c.
"""


def numbers(name, count):
    """FNV-1a of the name seeds a 32-bit linear congruential generator; values in [-0.5, 0.5)."""
    state = 2166136261
    for byte in name.encode():
        state = (state ^ byte) * 16777619 % 2**32
    values = []
    for _ in range(count):
        state = (state * 1664525 + 1013904223) % 2**32
        values.append((state >> 8) / 2**24 - 0.5)
    return values


def weights(name, shape):
    """A torch tensor: matrices in +-0.4, norms 1 +- 0.25, biases +-0.25."""
    import torch
    flat = torch.tensor(numbers(name, shape.numel()), dtype=torch.float32)
    if len(shape) == 2:
        return (flat * 0.8).reshape(shape)
    return 1 + flat * 0.5 if "norm" in name else flat * 0.5
