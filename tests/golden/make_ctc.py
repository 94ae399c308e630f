"""torch.nn.functional.ctc_loss of the log_softmax of logits: each loss, their mean as reduction='mean' has it, and the gradient
of that for the logits. Sequences lie one behind the other; padding is cut out.
"""
import torch
from torch.nn.functional import ctc_loss

from make import exact, random, write


def ctc(name, seed, blank, classes, input_lengths, targets, zero_infinity=False):
    steps, batch = max(input_lengths), len(input_lengths)
    logits = random(seed, steps, batch, classes, low=-3, high=3).requires_grad_()
    flat = torch.tensor([label for target in targets for label in target], dtype=torch.long)
    lengths = torch.tensor(input_lengths), torch.tensor([len(target) for target in targets])
    arguments = (logits.log_softmax(-1), flat, *lengths, blank)
    loss = ctc_loss(*arguments, reduction="none", zero_infinity=zero_infinity)
    mean = ctc_loss(*arguments, reduction="mean", zero_infinity=zero_infinity)
    mean.backward()

    def cut(x):
        return torch.cat([x[:n, i] for i, n in enumerate(input_lengths)])
    infeasible = sum(n < len(target) + sum(a == b for a, b in zip(target, target[1:]))
                     for n, target in zip(input_lengths, targets))
    assert torch.isfinite(loss).all() and (infeasible == 0 or zero_infinity)
    write("ctc", name, "ctc", dict(blank=blank, zero_infinity=zero_infinity, infeasible=infeasible),
          dict(logits=cut(exact(logits)), input_lengths=lengths[0], target_lengths=lengths[1], targets=flat, loss=loss,
               mean=mean, grad=cut(logits.grad)))


def main():
    ctc("even", 1, 0, 5, [8, 8, 8], [[1, 2, 3], [4, 1, 2], [2, 3, 4]])
    ctc("ragged", 2, 0, 6, [7, 12, 3, 9], [[1, 2, 3], [4, 5, 1, 2, 3], [2], [5, 4, 3, 1]])
    ctc("last_blank", 3, 4, 5, [9, 6, 11], [[0, 1], [2, 3, 0], [1, 0, 1, 0]])
    ctc("middle_blank", 4, 2, 5, [6, 10], [[0, 4, 3], [3, 1, 1, 0]])
    ctc("repeats", 5, 0, 4, [9, 5, 8], [[1, 1, 2, 2, 3], [3, 3, 3], [2, 2, 2, 2]])
    ctc("empty_target", 6, 1, 4, [5, 7, 4], [[0, 3], [], [2]])
    ctc("zero_infinity", 7, 0, 4, [4, 6, 3, 2], [[1, 1, 1], [1, 2, 3], [2, 2], [1, 2, 3]], zero_infinity=True)
