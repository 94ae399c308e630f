#!/usr/bin/env python3
"""Writes tests/golden/FOLDER/*.safetensors: what PyTorch computes, for the tests to compare with (tests/golden.h).

    python3 tests/golden/make.py [FOLDER...]        (needs PyTorch; 1.13 wrote the files that are here)

Each make_FOLDER.py has a main() that writes the files of one folder. All is computed in float64 from numbers that float32
has too, and written as F32.
"""
import glob
import importlib
import json
import os
import struct
import sys

import torch

HERE = os.path.dirname(os.path.abspath(__file__))


def exact(x):
    """A tensor as F32 has it, so that both sides begin with the same numbers."""
    return x.detach().float().double()


def random(seed, *shape, low=-1.0, high=1.0):
    """Numbers that depend on the seed and the shape alone, uniform from low to high."""
    g = torch.Generator().manual_seed(seed)
    return exact(low + (high - low) * torch.rand(*shape, generator=g, dtype=torch.float64))


def parameters(module, seed=1, bound=0.5):
    """Gives a module parameters that F32 has; they and, after a backward sweep, their gradients, as tensors to write."""
    for k, p in enumerate(module.parameters()):
        p.data = random(1000 * seed + k, *p.shape, low=-bound, high=bound)
    return {"param." + name: p for name, p in module.named_parameters()}


def gradients(module):
    return {"grad." + name: p.grad for name, p in module.named_parameters()}


def write(folder, name, kind, metadata, tensors, whole=()):
    """The safetensors format: the length of the header, the header, the numbers. All become F32 but the names in whole."""
    header, data = {"__metadata__": {"kind": kind, **{k: str(int(v) if isinstance(v, bool) else v)
                                                      for k, v in metadata.items()}}}, b""
    for key, x in tensors.items():
        raw = struct.pack(f"<{x.numel()}{'q' if key in whole else 'f'}", *x.detach().flatten().tolist())
        header[key] = {"dtype": "I64" if key in whole else "F32", "shape": list(x.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    os.makedirs(os.path.join(HERE, folder), exist_ok=True)
    with open(os.path.join(HERE, folder, name + ".safetensors"), "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text + data)


def main():
    torch.set_default_dtype(torch.float64)
    sys.path.insert(0, HERE)
    sys.dont_write_bytecode = True
    folders = sorted(os.path.basename(path)[5:-3] for path in glob.glob(os.path.join(HERE, "make_*.py")))
    for folder in sys.argv[1:] or folders:
        for old in glob.glob(os.path.join(HERE, folder, "*.safetensors")):
            os.remove(old)
        importlib.import_module("make_" + folder).main()


if __name__ == "__main__":
    main()
