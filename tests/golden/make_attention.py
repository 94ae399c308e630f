"""nn.MultiheadAttention: with and without keys that are masked, causal or not, keys and values of widths of their own.

A case is a query [B,L,embed], keys and values; of self-attention the query is all three. length: how many keys of each
sequence count. weights are per head; the loss is sum(y dy) + sum(weights dweights).
"""
import torch

from make import gradients, parameters, random, write


def case(name, embed, heads, queries, keys=None, length=None, causal=False, kdim=None, vdim=None, itself=False):
    batch = 3
    layer = torch.nn.MultiheadAttention(embed, heads, kdim=kdim, vdim=vdim, batch_first=True)
    model = torch.nn.ModuleDict({"m": layer})
    tensors = parameters(model, seed=len(name))
    keys = keys or queries
    query = random(1, batch, queries, embed).requires_grad_()
    key = query if itself else random(2, batch, keys, kdim or embed).requires_grad_()
    value = query if itself else random(3, batch, keys, vdim or embed).requires_grad_()
    padding = torch.arange(keys)[None, :] >= torch.tensor(length)[:, None] if length else None
    future = torch.triu(torch.ones(queries, keys, dtype=torch.bool), 1) if causal else None
    y, weights = layer(query, key, value, key_padding_mask=padding, attn_mask=future, average_attn_weights=False)
    mean = layer(query, key, value, key_padding_mask=padding, attn_mask=future)[1]
    dy, dweights = random(4, *y.shape), random(5, *weights.shape)
    ((y * dy).sum() + (weights * dweights).sum()).backward()
    tensors.update(query=query, y=y, weights=weights, mean=mean, dy=dy, dweights=dweights, dquery=query.grad)
    if not itself:
        tensors.update(key=key, value=value, dkey=key.grad, dvalue=value.grad)
    if length:
        tensors.update(length=torch.tensor(length))
    tensors.update(gradients(model))
    write("attention", name, "multihead", dict(embed=embed, heads=heads, kdim=kdim or embed, vdim=vdim or embed, causal=causal),
          tensors)


def main():
    case("self", 8, 2, 5, itself=True)
    case("self_padded", 8, 4, 5, length=[5, 1, 3], itself=True)
    case("self_causal", 8, 2, 5, causal=True, itself=True)
    case("self_causal_padded", 6, 3, 4, length=[2, 4, 1], causal=True, itself=True)
    case("cross", 8, 2, 3, 6)
    case("cross_padded", 8, 1, 3, 6, length=[6, 2, 4])
    case("one_query", 4, 4, 1, 5, length=[5, 5, 1])
    case("widths", 8, 2, 4, 5, length=[1, 5, 4], kdim=5, vdim=3)
    case("value_width", 6, 2, 3, 4, causal=True, vdim=10)
