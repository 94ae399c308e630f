"""Twenty steps of an optimizer on f(x) = sum scale (x - target)^2 / 2 with noise in the gradient, or fifty rates of a
schedule. A setting is metadata under the name it has in nn/optimizer.h.
"""
import math

import torch
from torch.optim import lr_scheduler as schedulers
from torch.optim.swa_utils import AveragedModel

from make import exact, write

STEPS, RATES, WEIGHT, BIAS = 20, 50, 4, 2


def problem():
    g = torch.Generator().manual_seed(1)
    n = WEIGHT + BIAS
    start, target = torch.randn(n, generator=g), torch.randn(n, generator=g)
    scale, noise = 0.2 + torch.rand(n, generator=g), 0.3 * torch.randn(STEPS, n, generator=g)
    return [exact(x) for x in (start, target, scale, noise)]


class Model(torch.nn.Module):
    def __init__(self, start):
        super().__init__()
        self.weight, self.bias = (torch.nn.Parameter(x.clone()) for x in (start[:WEIGHT], start[WEIGHT:]))

    def flat(self):
        return torch.cat([self.weight, self.bias]).detach().clone()


# What the losses of validation are after each step: for the trigger of NT-ASGD.
LOSSES = torch.tensor([5, 4, 3, 3.5, 2.5, 2.6, 2.4, 2.55, 2.45, 2.7, 2.41, 2.44, 2.6, 2.3, 2.9, 2.8, 2.7, 2.6, 2.5, 2.4]).float()


def triggered(losses, nonmono):
    """Algorithm 1 of Merity et al. at the last of the losses."""
    return len(losses) - 1 > nonmono and losses[-1] > min(losses[:-1][:len(losses) - 1 - nonmono])


def optimizer(name, kind, lr, make, group=None, decay=None, nonmono=None, **settings):
    """group: factors of the learning rate and the weight decay of the bias. decay: of an average of the weights."""
    start, target, scale, noise = problem()
    model = Model(start)
    base = settings.get("weight_decay", 0)
    groups = [{"params": [model.weight]}, {"params": [model.bias]}]
    if group:
        groups[1].update(lr=lr * group[0], weight_decay=base * group[1])
    torch_names = {"epsilon": "eps"}
    arguments = {torch_names.get(k, k): v for k, v in settings.items() if k not in ("beta1", "beta2")}
    if "beta1" in settings:
        arguments["betas"] = settings["beta1"], settings["beta2"]
    o = make(groups, lr=lr, **arguments)
    exponential = (lambda a, x, n: decay * a + (1 - decay) * x) if decay else None
    average = None
    if decay is not None:
        average = AveragedModel(model, avg_fn=exponential)
        average.update_parameters(model)
    xs, means = [], []
    for k in range(STEPS):
        gradient = scale * (model.flat() - target) + noise[k]
        model.weight.grad, model.bias.grad = gradient[:WEIGHT].clone(), gradient[WEIGHT:].clone()
        o.step()
        if average:
            average.update_parameters(model)
        if nonmono is not None and not average and triggered(LOSSES[:k + 1].tolist(), nonmono):
            average = AveragedModel(model)
            average.update_parameters(model)
        xs.append(model.flat())
        means.append(average.module.flat() if average else model.flat())
    metadata = dict(optimizer=kind, lr=lr, **settings)
    if group:
        metadata.update(lr_factor=group[0], decay_factor=group[1])
    if decay is not None:
        metadata.update(average=decay)
    if nonmono is not None:
        metadata.update(nonmono=nonmono)
        assert not torch.equal(xs[-1], means[-1])
    write("optimizer", name, "optimizer", metadata,
          dict(start=start, target=target, scale=scale, noise=noise, loss=LOSSES, x=torch.stack(xs), mean=torch.stack(means)))


def schedule(name, kind, make, losses=None, **settings):
    """make(o) gives the scheduler of an optimizer whose rate is 1."""
    o = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1)
    s, rates = make(o), []
    for k in range(RATES):
        rates.append(o.param_groups[0]["lr"])
        o.step()
        if losses is not None:
            s.step(losses[k].item())
        else:
            s.step()
    losses = torch.zeros(RATES) if losses is None else losses
    write("optimizer", name, "schedule", dict(schedule=kind, **settings), dict(rate=torch.tensor(rates), loss=losses))


def after(warmup, make, start=1 / 3):
    """A schedule behind a linear warm-up."""
    return lambda o: schedulers.SequentialLR(
        o, [schedulers.LinearLR(o, start_factor=start, total_iters=warmup), make(o)], milestones=[warmup])


def main():
    o, t = optimizer, torch.optim
    o("sgd", "sgd", 0.1, t.SGD)
    o("sgd_momentum", "sgd", 0.1, t.SGD, momentum=0.9, weight_decay=0.05)
    o("sgd_nesterov", "sgd", 0.1, t.SGD, momentum=0.8, nesterov=True, weight_decay=0.05)
    o("sgd_groups", "sgd", 0.1, t.SGD, group=(0.3, 0), momentum=0.9, weight_decay=0.2)
    o("adagrad", "adagrad", 0.3, t.Adagrad)
    o("adagrad_decay", "adagrad", 0.3, t.Adagrad, lr_decay=0.1, weight_decay=0.05)
    o("adadelta", "adadelta", 1, t.Adadelta)
    o("adadelta_decay", "adadelta", 0.7, t.Adadelta, rho=0.8, epsilon=1e-3, weight_decay=0.05)
    o("rmsprop", "rmsprop", 0.05, t.RMSprop)
    o("rmsprop_centered", "rmsprop", 0.02, t.RMSprop, alpha=0.9, centered=True, momentum=0.5, epsilon=1e-3,
      weight_decay=0.05)
    o("adam", "adam", 0.1, t.Adam)
    o("adam_decay", "adam", 0.1, t.Adam, beta1=0.8, beta2=0.95, epsilon=1e-3, weight_decay=0.05)
    o("adamw", "adamw", 0.1, t.AdamW)
    o("adamw_groups", "adamw", 0.1, t.AdamW, group=(2, 0.5), weight_decay=0.1)
    o("adam_ema", "adam", 0.1, t.Adam, decay=0.9)
    o("sgd_mean", "sgd", 0.1, t.SGD, decay=0)
    o("nt_asgd", "nt-asgd", 0.1, t.SGD, nonmono=5, weight_decay=0.01)
    o("nt_asgd_early", "nt-asgd", 0.1, t.SGD, nonmono=0)

    s = schedulers
    noisy = torch.tensor([2 * math.exp(-k / 5) + 0.1 * math.sin(3 * k) for k in range(RATES)]).float().double()
    schedule("constant", "constant", lambda o: s.LambdaLR(o, lambda k: 1))
    schedule("warmup", "constant", lambda o: s.LinearLR(o, total_iters=12), warmup=12)
    schedule("warmup_low", "constant", lambda o: s.LinearLR(o, 0.01, total_iters=12), warmup=12, start_factor=0.01)
    schedule("linear", "linear", lambda o: s.LinearLR(o, 1, 0.1, total_iters=40), total_steps=40, end_factor=0.1)
    schedule("step", "step", lambda o: s.StepLR(o, 7, 0.5), step_size=7, gamma=0.5)
    schedule("exponential", "exponential", lambda o: s.ExponentialLR(o, 0.95), gamma=0.95)
    schedule("cosine", "cosine", lambda o: s.CosineAnnealingLR(o, RATES), total_steps=RATES)
    schedule("cosine_warmup", "cosine", after(10, lambda o: s.CosineAnnealingLR(o, 40, eta_min=0.1)), warmup=10,
             total_steps=50, end_factor=0.1)
    schedule("inverse_sqrt", "inverse_sqrt", lambda o: s.LambdaLR(o, lambda k: 1 / math.sqrt(k + 1)))
    schedule("inverse_sqrt_warmup", "inverse_sqrt",
             lambda o: s.LambdaLR(o, lambda k: min((k + 1) / 11 if k < 10 else 1, math.sqrt(10 / max(k, 1)))), warmup=10,
             start_factor=1 / 11)
    schedule("one_cycle", "one_cycle", lambda o: s.OneCycleLR(o, 1, RATES + 1, cycle_momentum=False), total_steps=RATES + 1)
    schedule("one_cycle_steep", "one_cycle", lambda o: s.OneCycleLR(o, 1, RATES + 7, pct_start=0.15, div_factor=10,
                                                                    final_div_factor=100, cycle_momentum=False),
             total_steps=RATES + 7, pct_start=0.15, div_factor=10, final_div_factor=100)
    schedule("plateau", "plateau", lambda o: s.ReduceLROnPlateau(o), noisy)
    schedule("plateau_quick", "plateau", lambda o: s.ReduceLROnPlateau(o, factor=0.5, patience=2, threshold=0.05, cooldown=3,
                                                                       min_lr=0.05), noisy, factor=0.5, patience=2,
             threshold=0.05, cooldown=3, end_factor=0.05)
