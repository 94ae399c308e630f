"""Writes tests/golden/adaptive_softmax: PyTorch's AdaptiveLogSoftmaxWithLoss. y are the losses of rows, with the gradients of
their mean; log_p those of all classes, with the gradients of sum log_p weight. For tests/test_adaptive_softmax.c."""
import torch

from make import gradients, parameters, random, write


def adaptive(name, width, classes, cutoffs, divisor, bias):
    layer = torch.nn.AdaptiveLogSoftmaxWithLoss(width, classes, cutoffs, divisor, bias)
    module = torch.nn.ModuleDict({"out": layer})
    tensors = parameters(module, bound=1.5)
    x = random(6, 9, width, low=-2, high=2).requires_grad_()
    ids = torch.tensor([0, classes - 1, cutoffs[0], cutoffs[0] - 1, 1, cutoffs[-1], cutoffs[-1] - 1, classes - 2, 0])
    output, mean = layer(x, ids)
    mean.backward()
    tensors.update(x=x, ids=ids.double(), cutoffs=torch.tensor(cutoffs).double(), y=-output, mean=mean, dx=x.grad,
                   best=layer.predict(x).double(), **gradients(module))
    module.zero_grad(set_to_none=True)
    every = x.detach().clone().requires_grad_()
    log_p = layer.log_prob(every)
    weight = random(8, *log_p.shape)
    (log_p * weight).sum().backward()
    tensors.update({"log_p": log_p, "log_p.weight": weight, "log_p.dx": every.grad})
    tensors.update({"log_p." + k: g for k, g in gradients(module).items()})
    write("adaptive_softmax", name, "adaptive_softmax",
          {"in": width, "classes": classes, "divisor": divisor, "head_bias": bias}, tensors)


def main():
    adaptive("plain", 8, 20, [4, 10], 2.0, False)
    adaptive("head_bias", 8, 20, [3, 6, 12], 2.0, True)
    adaptive("one_cluster", 6, 11, [5], 4.0, False)
    adaptive("divisor", 8, 15, [4, 8], 1.6, False)          # 8 // 1.6 is 4: 1.6 is a little more than it looks
