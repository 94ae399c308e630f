"""Convolutions, pools and batch normalisation. Metadata has the settings under the names of nn/conv.h and ops/ops.h, pairs as
two numbers: stride0, stride1."""
import torch
from torch import nn

from make import exact, gradients, parameters, random, write


def pair(**settings):
    """stride=(2, 1) as stride0 and stride1; a number as the first alone."""
    return {f"{k}{i}": n for k, v in settings.items() for i, n in enumerate(v if isinstance(v, tuple) else (v,))}


def named(module):
    """Its parameters are then layer.weight and so on."""
    outer = nn.Module()
    outer.layer = module
    return outer


def run(module, x):
    x.requires_grad_()
    y = module(x)
    dy = random(99, *y.shape)
    (y * dy).sum().backward()
    return {"x": x, "y": y, "dy": dy, "dx": x.grad}


def conv(name, shape, out, kernel, stride=1, padding=0, dilation=1, groups=1, bias=True):
    kind = nn.Conv2d if len(shape) == 4 else nn.Conv1d
    module = kind(shape[1], out, kernel, stride, padding, dilation, groups, bias)
    tensors = parameters(named(module))
    settings = pair(kernel=kernel, stride=stride, padding=padding, dilation=dilation)
    tensors.update(run(module, random(7, *shape)), **gradients(named(module)))
    write("conv", name, "conv", {"in": shape[1], "out": out, "groups": groups, "no_bias": not bias, **settings}, tensors)


def pool(name, module, shape, **settings):
    write("conv", name, "pool", {"max": name.startswith("max"), **pair(**settings)}, run(module, random(8, *shape)))


def batch_norm(name, module, shape, steps=3, lr=0.1):
    """Training steps by plain SGD, then an evaluation."""
    outer = named(module)
    tensors = parameters(outer, bound=1)
    for k, b in outer.named_buffers():
        if b.is_floating_point():
            b.copy_(random(5, *b.shape, low=0.5, high=1.5))
        tensors["param." + k] = b.clone()
    tensors = {k: v.detach().clone() for k, v in tensors.items()}
    for step in range(steps):
        module.zero_grad()
        x = exact(3 * random(10 + step, *shape) + 1)
        tensors.update({f"{k}.{step}": v for k, v in run(module, x).items()})
        tensors.update({f"grad.{step}.{k}": p.grad.clone() for k, p in outer.named_parameters()})
        with torch.no_grad():
            for p in module.parameters():
                p -= lr * p.grad
        tensors.update({f"after.{step}.{k}": v.detach().clone() for k, v in outer.state_dict().items()})
    module.eval()
    module.zero_grad()
    tensors.update(run(module, random(20, *shape)), **gradients(outer))
    write("conv", name, "batch_norm", {"steps": steps, "lr": lr, "momentum": module.momentum, "eps": module.eps}, tensors)


def main():
    conv("conv2d", (2, 3, 6, 5), 4, (3, 3))
    conv("conv2d_padded", (2, 3, 5, 6), 4, (3, 2), (2, 1), (1, 2))
    conv("conv2d_dilated", (1, 2, 7, 8), 3, (2, 3), (1, 2), (2, 1), (3, 2))
    conv("conv2d_groups", (2, 4, 5, 5), 6, (3, 3), (1, 1), (1, 1), (1, 1), 2)
    conv("conv2d_depthwise", (2, 3, 5, 6), 6, (3, 3), (2, 2), (1, 1), (1, 1), 3)
    conv("conv2d_no_bias", (2, 4, 3, 4), 5, (1, 1), bias=False)
    conv("conv1d", (3, 4, 9), 5, 3)
    conv("conv1d_all", (2, 6, 11), 4, 3, 2, 2, 2, 2, False)
    pool("max_pool2d", nn.MaxPool2d((2, 2)), (2, 2, 5, 4), kernel=(2, 2))
    pool("max_pool2d_padded", nn.MaxPool2d((3, 2), (2, 1), (1, 1)), (2, 2, 6, 5), kernel=(3, 2), stride=(2, 1), padding=(1, 1))
    pool("max_pool1d", nn.MaxPool1d(3, 2, 1), (2, 3, 8), kernel=3, stride=2, padding=1)
    pool("avg_pool2d", nn.AvgPool2d((3, 3), (2, 2), (1, 1)), (2, 2, 6, 7), kernel=(3, 3), stride=(2, 2), padding=(1, 1))
    pool("avg_pool2d_uncounted", nn.AvgPool2d((3, 2), (1, 2), (1, 1), count_include_pad=False), (2, 2, 4, 5), kernel=(3, 2),
         stride=(1, 2), padding=(1, 1), padding_uncounted=1)
    pool("avg_pool1d", nn.AvgPool1d(4), (2, 3, 9), kernel=4)
    batch_norm("batch_norm2d", nn.BatchNorm2d(3), (2, 3, 4, 3))
    batch_norm("batch_norm1d", nn.BatchNorm1d(4, eps=1e-3, momentum=0.3), (3, 4, 5))
    batch_norm("batch_norm_rows", nn.BatchNorm1d(5), (7, 5))
