"""Writes tests/golden/loss: PyTorch's losses, for each element or row (y, of which dy is the gradient) and as a mean, with the
gradients of all that has one. For tests/test_loss.c."""
import torch
import torch.nn.functional as F

from make import exact, random, write

FOLDER = "loss"


def loss(name, kind, metadata, inputs, f, mean, extra=None, without=()):
    """inputs: tensors with gradients; f of them: each; mean of them: the mean. without: inputs whose gradient is not compared."""
    tensors = dict(extra or {})
    for of, prefix in ((f, "d"), (mean, "mean.d")):
        leaves = {k: x.clone().requires_grad_() for k, x in inputs.items()}
        y = of(**leaves)
        dy = random(77, *y.shape) if prefix == "d" else torch.ones(())
        y.backward(dy)
        tensors.update({"y": y, "dy": dy} if prefix == "d" else {"mean.y": y})
        tensors.update({prefix + k: x.grad for k, x in leaves.items() if k not in without})
    write(FOLDER, name, kind, metadata, {**inputs, **tensors})


def cross_entropy(name, shape, ids, smoothing=0.0, weight=None):
    def of(x, reduction):
        n = x.shape[-1]
        y = F.cross_entropy(x.reshape(-1, n), torch.tensor(ids), weight, label_smoothing=smoothing, reduction=reduction)
        return y.reshape(x.shape[:-1]) if reduction == "none" else y
    extra = {"ids": torch.tensor(ids).double(), **({"weight": weight} if weight is not None else {})}
    loss(name, "cross_entropy", {"smoothing": smoothing}, {"x": random(1, *shape, low=-3, high=3)}, lambda x: of(x, "none"),
         lambda x: of(x, "mean"), extra)


def pair(name, kind, f, mean=None, target=None, x=None, without=(), **metadata):
    """A prediction and a target of one shape; f takes a reduction."""
    x = random(2, 3, 4, low=-3, high=3) if x is None else x
    target = random(3, 3, 4, low=-3, high=3) if target is None else target
    loss(name, kind, metadata, {"x": x, "target": target}, lambda x, target: f(x, target, "none"),
         mean or (lambda x, target: f(x, target, "mean")), without=without)


def gaussian(name, log_variance, least, without=()):
    def of(reduction):
        return lambda mean, log_variance, target: F.gaussian_nll_loss(mean, target, log_variance.exp().expand_as(mean), eps=least,
                                                                      reduction=reduction)
    inputs = {"mean": random(4, 3, 4), "log_variance": log_variance, "target": random(5, 3, 4)}
    loss(name, "gaussian_nll", {"least": least}, inputs, of("none"), of("mean"), without=without)


def main():
    cross_entropy("cross_entropy", (4, 5), [3, 0, 4, 1])
    cross_entropy("cross_entropy_ignore", (2, 3, 5), [3, -100, 4, 1, -100, 2])
    cross_entropy("cross_entropy_smooth", (4, 5), [3, 0, 4, 1], smoothing=0.1)
    cross_entropy("cross_entropy_smooth_ignore", (2, 3, 5), [3, -100, 4, 1, -100, 2], smoothing=0.3)
    cross_entropy("cross_entropy_balanced", (2, 3, 5), [3, -100, 4, 1, 3, 2], weight=exact(torch.tensor([1, 0.5, 0, 3, 0.25])))

    share = random(3, 3, 4, low=0, high=1)
    share[0, 0], share[1, 1] = 0, 1
    pair("bce_logits", "bce_logits", lambda x, z, r: F.binary_cross_entropy_with_logits(x, z, reduction=r), target=share,
         positive_weight=1)
    pair("bce_logits_weighted", "bce_logits", lambda x, z, r: F.binary_cross_entropy_with_logits(
        x, z, pos_weight=torch.tensor(2.5), reduction=r), target=share, positive_weight=2.5)
    far = exact(torch.tensor([[1e4, -1e4, 30, -30], [100, -100, 0, 15]]))
    pair("bce_logits_far", "bce_logits", lambda x, z, r: F.binary_cross_entropy_with_logits(x, z, reduction=r), x=far,
         target=torch.tensor([[1.0, 0, 1, 0], [0, 1, 0.5, 0.25]]), positive_weight=1)
    pair("mse", "mse", lambda x, z, r: F.mse_loss(x, z, reduction=r))
    pair("mae", "mae", lambda x, z, r: F.l1_loss(x, z, reduction=r))
    pair("huber", "huber", lambda x, z, r: F.huber_loss(x, z, delta=1.0, reduction=r), delta=1, scale=1)
    pair("huber_wide", "huber", lambda x, z, r: F.huber_loss(x, z, delta=2.5, reduction=r), delta=2.5, scale=1)
    pair("smooth_l1", "huber", lambda x, z, r: F.smooth_l1_loss(x, z, beta=0.5, reduction=r), delta=0.5, scale=2)

    gaussian("gaussian_nll", random(6, 3, 4, low=-2, high=2), 1e-6)
    gaussian("gaussian_nll_one", random(6, 1, 4, low=-2, high=2), 1e-6)
    gaussian("gaussian_nll_least", random(6, 3, 4, low=-6, high=0), 0.05, without=["log_variance"])

    log_q = exact(random(7, 3, 4).log_softmax(1))
    p = exact(random(8, 3, 4).softmax(1))
    rare = torch.tensor([[0, 0.25, 0.75, 0], [1, 0, 0, 0], [0.5, 0, 0, 0.5]])
    rows = (lambda x, z, r: F.kl_div(x, z, reduction="none").sum(-1))
    batch = (lambda x, target: F.kl_div(x, target, reduction="batchmean"))
    pair("kl_div", "kl_div", rows, batch, p, log_q)
    pair("kl_div_zeros", "kl_div", rows, batch, rare, log_q, without=["target"])
    pair("kl_div_logits", "kl_div_logits", lambda x, z, r: F.kl_div(x.log_softmax(-1), z.softmax(-1), reduction="none").sum(-1),
         lambda x, target: F.kl_div(x.log_softmax(-1), target.softmax(-1), reduction="batchmean"))
