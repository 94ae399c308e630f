"""The rows of tests/bench/bench.c in PyTorch, one thread against one thread, in turn; `make bench PEER=1` runs it.

Each line is the row's JSON object with what PyTorch took ("peer_ms") and how many times faster Spindle was ("ratio"), and
the most memory resident in a process that does this alone ("resident_mb", "peer_resident_mb").
PyTorch's matrix products must not be handicapped: where its BLAS is an old BLIS on a new CPU, it gets the same kernels
(BLIS_ARCH_TYPE) that Spindle chooses for itself; the field "peer_gflops" shows what its 1024^3 product reaches.
"""
import json
import math
import os
import statistics
import subprocess
import sys
import time

bench = sys.argv[1]
wanted = sys.argv[2] if len(sys.argv) > 2 else ""


def first_row():
    return json.loads(subprocess.run([bench, "-i", "0"], check=True, capture_output=True, text=True).stdout)


kernels = {"skx": "0", "haswell": "3"}.get(first_row()["kernels"])
if kernels and "BLIS_ARCH_TYPE" not in os.environ:
    os.environ["BLIS_ARCH_TYPE"] = kernels
os.environ["OMP_NUM_THREADS"] = "1"

try:
    import torch
except ImportError:
    sys.exit("peer.py: PyTorch not found (apt install python3-torch), or set PYTHON to one that has it")

torch.set_num_threads(1)
torch.manual_seed(1)


def median_ms(work):
    work()
    work()
    times, began = [], time.perf_counter()
    while len(times) < 5 or time.perf_counter() - began < 0.5:
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times)


def layers(row, kind):
    T, B, I, H, L = (row[k] for k in "TBIHL")
    net = kind(I, H, L)
    x = torch.randn(T, B, I, requires_grad=True)

    def work():
        net.zero_grad()
        x.grad = None
        net(x)[0].sum().backward()
    return work


def images(row):
    T, B, I, H, L = (row[k] for k in "TBIHL")
    text, train = row["bench"].startswith("conv1d"), row["bench"].endswith("train")
    stride, padding = 2 if L == 7 or "strided" in row["bench"] else 1, 0 if L == T else L // 2
    groups = I if row["bench"].startswith("depthwise") else 1
    net = torch.nn.Conv1d(I, H, L) if text else torch.nn.Conv2d(I, H, L, stride, padding, groups=groups)
    x = torch.randn(*([B, I, T] if text else [B, I, T, T]), requires_grad=train and I > 3)

    def learn():
        net.zero_grad()
        x.grad = None
        net(x).sum().backward()

    def infer():
        with torch.no_grad():
            net(x)
    return learn if train else infer


def ragged(row):
    T, B, I, H = (row[k] for k in "TBIH")
    lengths = sorted((5 + (i * 37) % (T - 4) for i in range(B)), reverse=True) if row["bench"] == "ragged_train" else [T] * B
    net = torch.nn.LSTM(I, H, bidirectional=True)
    x = torch.randn(T, B, I, requires_grad=True)

    def work():
        net.zero_grad()
        x.grad = None
        packed = torch.nn.utils.rnn.pack_padded_sequence(x, lengths)
        torch.nn.utils.rnn.pad_packed_sequence(net(packed)[0])[0].sum().backward()
    return work


class Model(torch.nn.Module):
    def __init__(self, symbols, H, L):
        super().__init__()
        self.embed = torch.nn.Embedding(symbols, H)
        self.rnn = torch.nn.LSTM(H, H, L)
        self.out = torch.nn.Linear(H, symbols)

    def forward(self, x, state):
        y, state = self.rnn(self.embed(x), state)
        return self.out(y), state


def model(row):
    T, B, H, L = (row[k] for k in "TBHL")
    net = Model(65, H, L)
    x = torch.arange(T * B).remainder(64).view(T, B)
    state = (torch.zeros(L, B, H), torch.zeros(L, B, H))
    adam = torch.optim.Adam(net.parameters(), 1e-3)

    def train():
        adam.zero_grad()
        logits, _ = net(x, state)
        torch.nn.functional.cross_entropy(logits.view(-1, 65), x.view(-1)).backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 5)
        adam.step()

    def decode():
        with torch.no_grad():
            net(x, state)
    return decode if row["bench"] == "lm_decode" else train


def vocabulary(row):
    B, I, H = (row[k] for k in "BIH")
    if row["bench"] == "vocabulary_adaptive":
        net = torch.nn.AdaptiveLogSoftmaxWithLoss(H, I, [I // 25, I // 5], 4)
    else:
        net = torch.nn.Linear(H, I)
    x = torch.randn(B, H, requires_grad=True)
    ids = ((torch.rand(B) * math.log(I + 1)).exp().long() - 1).clamp(0, I - 1)      # words as they are drawn in bench.c

    def work():
        x.grad = None
        for p in net.parameters():                              # clearing gradients is not counted
            p.grad = None
        if row["bench"] == "vocabulary_adaptive":
            net(x, ids).loss.backward()
        else:
            torch.nn.functional.cross_entropy(net(x), ids).backward()
    return work


peers = {
    "lstm_train": lambda r: layers(r, torch.nn.LSTM),
    "custom_train": lambda r: layers(r, torch.nn.LSTM),         # against its own fused one
    "tiny_train": lambda r: layers(r, torch.nn.LSTM),
    "gru_train": lambda r: layers(r, torch.nn.GRU),
    "rnn_train": lambda r: layers(r, torch.nn.RNN),
    "conv_infer": images,
    "conv_train": images,
    **{kind + way: images for kind in ("depthwise_", "depthwise_strided_", "conv_strided_", "conv_whole_") for way in ("infer", "train")},
    "conv1d_infer": images,
    "conv1d_train": images,
    "ragged_train": ragged,
    "ragged_padded": ragged,
    "lm_train": model,
    "lm_decode": model,
    "vocabulary_full": vocabulary,
    "vocabulary_adaptive": vocabulary,
}

if len(sys.argv) > 3:                                           # one row in a process of its own, for its memory
    work = peers[json.loads(sys.argv[3])["bench"]](json.loads(sys.argv[3]))
    for _ in range(3):
        work()
    print(next(int(line.split()[1]) / 1024 for line in open("/proc/self/status") if line.startswith("VmHWM")))
    sys.exit()


def resident(row):
    command = [sys.executable, __file__, bench, wanted, json.dumps(row)]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


a = torch.randn(1024, 1024)
product = 2 * 1024 ** 3 / (1e6 * median_ms(lambda: a @ a))
for i in range(1000):
    def measure():
        return subprocess.run([bench, "-i", str(i), wanted], check=True, stdout=subprocess.PIPE, text=True).stdout

    out = measure()
    if not out:
        break
    row = json.loads(out)
    if row.get("bench") not in peers:                           # {}: not wanted
        continue
    torch.set_num_threads(row["threads"])
    ours = [row]
    work = peers[row["bench"]](row)
    theirs = []
    for _ in range(3):                                          # in turn: the machine's speed drifts
        theirs.append(median_ms(work))
        ours.append(json.loads(measure()))
    row = {k: statistics.median(r[k] for r in ours) if isinstance(v, float) else v for k, v in row.items()}
    row["peer_ms"] = statistics.median(theirs)
    row["ratio"] = round(row["peer_ms"] / row["ms"], 3)
    row["peer_resident_mb"] = round(resident(row), 1)
    row["peer"] = "PyTorch " + torch.__version__
    row["peer_gflops"] = round(product, 1)
    print(json.dumps(row), flush=True)
