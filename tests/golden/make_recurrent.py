"""nn.RNN, nn.LSTM and nn.GRU over sequences of different lengths, packed, with initial and final states: outputs, final
states, and the gradients of  sum y dy + sum hn dhn + sum cn dcn.

x [rows,in] and y hold one sequence behind the other in the caller's order; states are PyTorch's [layers*directions,B,w]."""
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

from make import gradients, parameters, random, write

LENGTHS, IN, HIDDEN, PROJECTED = [3, 5, 1, 3], 2, 3, 2
KINDS = {
    "rnn": (torch.nn.RNN, {}),
    "relu": (torch.nn.RNN, {"nonlinearity": "relu"}),
    "lstm": (torch.nn.LSTM, {}),
    "lstm-projected": (torch.nn.LSTM, {"proj_size": PROJECTED}),
    "gru": (torch.nn.GRU, {}),
}
SIZES = {"rnn": "1 2 3b", "relu": "1 2b 3", "lstm": "1 1b 2 3b", "lstm-projected": "1 2b 3", "gru": "1 1b 2 3b"}


class Model(torch.nn.Module):
    def __init__(self, make, **settings):
        super().__init__()
        self.rnn = make(IN, HIDDEN, **settings)


def rows(padded):
    return torch.cat([padded[:n, i] for i, n in enumerate(LENGTHS)])


def recurrent(kind, layers, both):
    make, settings = KINDS[kind]
    model = Model(make, num_layers=layers, bidirectional=both, **settings)
    tensors = parameters(model, seed=layers + 10 * both)
    directions, total = (2 if both else 1), sum(LENGTHS)
    widths = [PROJECTED if kind == "lstm-projected" else HIDDEN, HIDDEN][:2 if kind.startswith("lstm") else 1]
    x = random(1, total, IN).requires_grad_()
    start = [random(2 + i, layers * directions, len(LENGTHS), w).requires_grad_() for i, w in enumerate(widths)]
    dy = random(4, total, directions * widths[0])
    dfinal = [random(5 + i, *s.shape) for i, s in enumerate(start)]
    packed = pack_padded_sequence(pad_sequence(x.split(LENGTHS)), torch.tensor(LENGTHS), enforce_sorted=False)
    out, final = model.rnn(packed, tuple(start) if len(start) > 1 else start[0])
    final = final if len(start) > 1 else [final]
    y = rows(pad_packed_sequence(out)[0])
    ((y * dy).sum() + sum((a * b).sum() for a, b in zip(final, dfinal))).backward()
    tensors.update({"length": torch.tensor(LENGTHS), "x": x, "dx": x.grad, "y": y, "dy": dy}, **gradients(model))
    for name, a, b, d in zip("hc", start, final, dfinal):
        tensors.update({name + "0": a, "d" + name + "0": a.grad, name + "n": b, "d" + name + "n": d})
    metadata = {"in": IN, "hidden": HIDDEN, "layers": layers, "bidirectional": both}
    if kind == "lstm-projected":
        metadata["projected"] = PROJECTED
    write("recurrent", f"{kind}_{layers}{'b' if both else ''}", kind, metadata, tensors)


def main():
    for kind, sizes in SIZES.items():
        for size in sizes.split():
            recurrent(kind, int(size[0]), size.endswith("b"))
