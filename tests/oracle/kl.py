#!/usr/bin/env python3
"""How far nearfar's and llama.cpp's next-token distributions are from the plain reference.

  python kl.py --logits build/tests/oracle/oracle_logits [--positions N] [MODEL ...]

For each model: mean KL(reference || nearfar) and mean KL(reference || llama.cpp) over the positions
of text/varied.txt (every passage from an empty context; more than 2,000), in nats, and how often each picks
the reference's first token. The reference is reference_model.py. With --table, nearfar's own
"reference" kernel table is measured the same way (slow: it is written for clarity), with --kv-type
its keys and values of that type too. Exit 1 if nearfar, as it is by default, is further away than
llama.cpp on any model.
"""

import argparse
import os
import subprocess
import sys
import tempfile

import numpy as np

from peer_model import MODELS, PeerModel, model_path
from reference_model import ReferenceModel

HERE = os.path.dirname(os.path.abspath(__file__))


def passages():
    with open(os.path.join(HERE, "text", "varied.txt"), encoding="utf-8") as file:
        return [text.strip("\n") for text in file.read().split("\n%%\n")]


def sequences_of(peer, positions):
    """Token ids of each passage, at most `positions` in all (0: the whole text)."""
    sequences = [peer.tokenize(text) for text in passages()]
    left = positions or sum(map(len, sequences))
    for i, ids in enumerate(sequences):
        sequences[i] = ids[:left]
        left -= len(sequences[i])
    return [ids for ids in sequences if ids]


def log_softmax(logits):
    logits = logits.astype(np.float64)
    logits -= logits.max(axis=-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


def divergences(reference, other):
    """KL(reference || other) of each row, in nats."""
    return (np.exp(reference) * (reference - other)).sum(axis=-1)


class NearfarLogits:
    """The dump of one run of oracle_logits, read sequence by sequence."""

    def __init__(self, program, model, sequences, options, folder):
        ids_path = os.path.join(folder, "ids.txt")
        self._path = os.path.join(folder, f"logits{''.join(options)}.f32")
        with open(ids_path, "w", encoding="ascii") as file:
            for ids in sequences:
                file.write(" ".join(map(str, ids)) + "\n")
        command = [program, "--model", model, "--ids", ids_path, "--out", self._path]
        subprocess.run(command + options, check=True)
        positions = sum(map(len, sequences))
        vocabulary = os.path.getsize(self._path) // 4 // positions
        self._rows = np.memmap(self._path, np.float32, "r", shape=(positions, vocabulary))
        self._at = 0

    def next(self, ids):
        self._at += len(ids)
        return self._rows[self._at - len(ids):self._at]


def evaluate(name, arguments, folder):
    path = model_path(name)
    peer = PeerModel(path, arguments.threads)
    sequences = sequences_of(peer, arguments.positions)
    options = {"nearfar": []}
    if arguments.table:
        options["nearfar reference table"] = ["--kernels", "reference"]
    if arguments.kv_type:
        options[f"nearfar, kv {arguments.kv_type}"] = ["--kv-type", arguments.kv_type]
    threads = ["--threads", str(arguments.threads)]
    sides = {side: NearfarLogits(arguments.logits, path, sequences, threads + of_side, folder)
             for side, of_side in options.items()}
    kl = {side: [] for side in [*sides, "llama.cpp"]}
    same = {side: [] for side in kl}
    for ids, logits in zip(sequences, ReferenceModel(path).logits(sequences)):
        reference = log_softmax(logits)
        for side in kl:
            rows = sides[side].next(ids) if side in sides else peer.logits(ids)
            other = log_softmax(rows)
            kl[side].append(divergences(reference, other))
            same[side].append(reference.argmax(axis=-1) == other.argmax(axis=-1))
    means = {}
    for side in kl:
        values = np.concatenate(kl[side])
        means[side] = values.mean()
        print(f"{name}: mean KL(reference || {side}) = {values.mean():.6f} nats over {len(values)} "
              f"positions (median {np.median(values):.6f}, largest {values.max():.4f}); same first "
              f"token {100 * np.concatenate(same[side]).mean():.2f} %", flush=True)
    return means["nearfar"] <= means["llama.cpp"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--logits", required=True, help="the oracle_logits program")
    parser.add_argument("--positions", type=int, default=0, help="default: the whole text")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--table", action="store_true", help="measure the reference table too")
    parser.add_argument("--kv-type", default="", help="measure keys and values of this type too")
    parser.add_argument("models", nargs="*", default=MODELS)
    arguments = parser.parse_args()
    results = []
    for name in arguments.models or MODELS:
        with tempfile.TemporaryDirectory() as folder:
            results.append(evaluate(name, arguments, folder))
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
