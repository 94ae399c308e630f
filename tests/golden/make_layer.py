"""Writes tests/golden/layer: PyTorch's simplest layers, and functions of one tensor. For tests/test_linear.c."""
import torch

from make import gradients, parameters, random, write

FOLDER = "layer"


def layer(name, kind, metadata, module, x, ids=False):
    """Output, and all gradients for sum dy y. What goes in is x."""
    module = torch.nn.ModuleDict({kind: module})
    tensors = parameters(module)
    x = x if ids else x.requires_grad_()
    y = module[kind](x)
    dy = random(99, *y.shape)
    (y * dy).sum().backward()
    tensors.update({"x": x.double(), "y": y, "dy": dy, **gradients(module), **({} if ids else {"dx": x.grad})})
    write(FOLDER, name, kind, metadata, tensors)


def function(name, f, low, high):
    x = random(5, 2, 3, 7, low=low, high=high).requires_grad_()
    y = f(x)
    dy = random(98, *y.shape)
    (y * dy).sum().backward()
    write(FOLDER, name, "function", {"name": name}, {"x": x, "y": y, "dy": dy, "dx": x.grad})


def main():
    n = torch.nn
    layer("embedding", "embedding", {"ids": 6, "width": 4}, n.Embedding(6, 4), torch.tensor([5, 0, 3, 3, 1]), ids=True)
    layer("linear", "linear", {"in": 5, "out": 3, "bias": 1}, n.Linear(5, 3), random(1, 2, 4, 5))
    layer("linear_unbiased", "linear", {"in": 5, "out": 3, "bias": 0}, n.Linear(5, 3, bias=False), random(1, 4, 5))
    layer("layer_norm", "layer_norm", {"width": 6, "epsilon": 1e-5}, n.LayerNorm(6), random(2, 2, 3, 6))
    layer("layer_norm_epsilon", "layer_norm", {"width": 6, "epsilon": 0.1}, n.LayerNorm(6, eps=0.1), random(2, 4, 6))

    function("softmax", lambda x: x.softmax(-1), -3, 3)
    function("log_softmax", lambda x: x.log_softmax(-1), -3, 3)
    function("sigmoid", torch.sigmoid, -6, 6)
    function("log_sigmoid", n.functional.logsigmoid, -20, 20)
    function("tanh", torch.tanh, -3, 3)
    function("relu", torch.relu, -2, 2)
    function("exp", torch.exp, -3, 3)
    function("log", torch.log, 0.1, 5)
    function("sqrt", torch.sqrt, 0.1, 5)
    function("abs", torch.abs, -2, 2)
