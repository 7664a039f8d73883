#!/usr/bin/env python3
"""Measures llama.cpp (llama-cpp-python) the way `nearfar bench` measures nearfar; one line of JSON.

Prefill: one decode call over the prompt, logits of its last token. Decode: behind a prompt of so many
tokens as the depth, one call a token, the argmax of its logits taken, as nearfar's figure includes
picking the token too.
"""

import argparse
import json
import resource
import statistics
import time

import llama_cpp
import numpy as np

SENTENCE = b"The keeper of the lighthouse wrote down the wind, the tide and the names of passing ships. "


def text_ids(llama, count):
    ids = []
    while len(ids) < count:
        ids += llama.tokenize(SENTENCE, add_bos=False, special=False)
    return ids[:count]


BATCH = 512
LEAST_PROMPT = 8  # as nearfar bench has it


class Context:
    """A bare context, so that no Python of the peer's own is timed."""

    def __init__(self, llama):
        self._context = llama._ctx.ctx
        self._vocabulary = llama.n_vocab()

    def clear(self):
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self._context), True)

    def prefill(self, ids):
        for first in range(0, len(ids), BATCH):
            token = self.decode(ids[first:first + BATCH])
        return token

    def decode(self, ids):
        array = (llama_cpp.llama_token * len(ids))(*ids)
        batch = llama_cpp.llama_batch_get_one(array, len(ids))
        assert llama_cpp.llama_decode(self._context, batch) == 0
        logits = llama_cpp.llama_get_logits_ith(self._context, -1)
        return int(np.ctypeslib.as_array(logits, (self._vocabulary,)).argmax())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--prefill", type=int, default=512)
    parser.add_argument("--decode", type=int, default=128)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--depth", default="0", help="as 0,2048")
    arguments = parser.parse_args()
    depths = [int(depth) for depth in arguments.depth.split(",")]
    start = time.perf_counter()
    llama = llama_cpp.Llama(arguments.model, n_ctx=4096, n_batch=BATCH, n_threads=arguments.threads,
                            n_threads_batch=arguments.threads, verbose=False)
    load = time.perf_counter() - start
    context = Context(llama)
    context.decode(text_ids(llama, 32))
    prefill, decode = [], {depth: [] for depth in depths}
    for _ in range(arguments.runs):
        ids = text_ids(llama, arguments.prefill)
        context.clear()
        start = time.perf_counter()
        context.prefill(ids)
        prefill.append(arguments.prefill / (time.perf_counter() - start))
        for depth in depths:
            context.clear()
            token = context.prefill(text_ids(llama, max(depth, LEAST_PROMPT)))
            start = time.perf_counter()
            for _ in range(arguments.decode):
                token = context.decode([token])
            decode[depth].append(arguments.decode / (time.perf_counter() - start))
    print(json.dumps({
        "threads": arguments.threads,
        "prefill_tokens_per_s": round(statistics.median(prefill), 2),
        "decode": [{"depth": depth, "tokens_per_s": round(statistics.median(speeds), 2)}
                   for depth, speeds in decode.items()],
        "load_s": round(load, 3),
        "peak_rss_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)}))


if __name__ == "__main__":
    main()
