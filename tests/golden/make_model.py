"""The state dict of a model, as it would be saved to be used elsewhere, and what the model gives in evaluation."""
import torch
from torch import nn

from make import exact, random, write

WORDS, WIDTH, HIDDEN, TAGS, LENGTH, BATCH = 7, 3, 2, 4, 5, 3


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(WORDS, WIDTH)
        self.rnn = nn.LSTM(WIDTH, HIDDEN, num_layers=2, bidirectional=True)
        self.norm = nn.BatchNorm1d(2 * HIDDEN)
        self.head = nn.Linear(2 * HIDDEN, TAGS)

    def forward(self, ids):
        return self.head(self.norm(self.rnn(self.embed(ids))[0].flatten(0, 1)))


def main():
    model = Tagger()
    for k, p in enumerate(model.parameters()):
        p.data = random(k, *p.shape)
    ids = torch.arange(LENGTH * BATCH).reshape(LENGTH, BATCH) * 3 % WORDS
    for k in range(3):                                              # the running statistics of three batches
        model((ids + k) % WORDS)
    state = {name: x if x.dtype == torch.int64 else exact(x) for name, x in model.state_dict().items()}
    model.load_state_dict(state)
    model.eval()
    write("model", "tagger", "state dict", {}, state, whole=("norm.num_batches_tracked",))
    write("model", "tagger_run", "run", {}, {"ids": ids, "y": model(ids)})
