"""The plain forward pass that everyone is measured against: weights dequantized by the peer's own
reference code, activations, keys and values in f32, numpy's matrix products, no cache, no blocking.

It shares no code with nearfar, so it also checks the architecture itself (norms, rope, biases,
grouped heads). Families: llama (interleaved rope), qwen2 (split rope, biases on q, k, v).
"""

import numpy as np

from gguf_reader import GgufReader


class ReferenceModel:
    def __init__(self, path):
        self._file = GgufReader(path)
        meta = self._file.metadata
        self._family = meta["general.architecture"]
        assert self._family in ("llama", "qwen2"), self._family
        key = lambda name: meta[f"{self._family}.{name}"]
        self._layers = key("block_count")
        self._heads = key("attention.head_count")
        self._kv_heads = key("attention.head_count_kv")
        self._epsilon = key("attention.layer_norm_rms_epsilon")
        self._head_width = key("embedding_length") // self._heads
        self._base = meta.get(f"{self._family}.rope.freq_base", 10000.0)

    def logits(self, sequences):
        """[f32 [tokens, vocabulary]] of each sequence from an empty context, as a generator; every
        weight is dequantized once for all sequences."""
        ends = np.cumsum([len(ids) for ids in sequences])
        spans = list(zip(ends - [len(ids) for ids in sequences], ends))
        positions = np.concatenate([np.arange(len(ids)) for ids in sequences])
        embedding = self._file.tensor("token_embd.weight")
        x = embedding[np.concatenate(sequences)]
        rotation = self._rotation(positions)
        for layer in range(self._layers):
            x = self._layer(f"blk.{layer}.", x, spans, rotation)
        x = self._norm(x, "output_norm.weight")
        output = self._file.tensor("output.weight") if "output.weight" in self._file else embedding
        for start, end in spans:
            yield x[start:end] @ output.T

    def _layer(self, prefix, x, spans, rotation):
        normed = self._norm(x, prefix + "attn_norm.weight")
        q = self._rotate(self._linear(normed, prefix + "attn_q", self._heads), rotation)
        k = self._rotate(self._linear(normed, prefix + "attn_k", self._kv_heads), rotation)
        v = self._linear(normed, prefix + "attn_v", self._kv_heads)
        mixed = np.concatenate([self._attention(q[a:b], k[a:b], v[a:b]) for a, b in spans])
        x = x + mixed @ self._file.tensor(prefix + "attn_output.weight").T
        normed = self._norm(x, prefix + "ffn_norm.weight")
        gate = normed @ self._file.tensor(prefix + "ffn_gate.weight").T
        up = normed @ self._file.tensor(prefix + "ffn_up.weight").T
        return x + (gate / (1 + np.exp(-gate)) * up) @ self._file.tensor(prefix + "ffn_down.weight").T

    def _norm(self, x, name):
        scale = 1 / np.sqrt(np.mean(np.square(x), axis=-1, keepdims=True) + self._epsilon)
        return (x * scale * self._file.tensor(name)).astype(np.float32)

    def _linear(self, x, name, heads):
        y = x @ self._file.tensor(name + ".weight").T
        if name + ".bias" in self._file:
            y = y + self._file.tensor(name + ".bias")
        return y.reshape(len(x), heads, self._head_width)

    def _rotation(self, positions):
        half = self._head_width // 2
        angles = positions[:, None] * self._base ** (-np.arange(half) / half)[None, :]
        return np.cos(angles)[:, None, :].astype(np.float32), np.sin(angles)[:, None, :].astype(np.float32)

    def _rotate(self, x, rotation):
        cos, sin = rotation
        out = np.empty_like(x)
        half = self._head_width // 2
        first, second = (slice(0, None, 2), slice(1, None, 2)) if self._family == "llama" else (
            slice(0, half), slice(half, None))
        out[..., first] = x[..., first] * cos - x[..., second] * sin
        out[..., second] = x[..., first] * sin + x[..., second] * cos
        return out

    def _attention(self, q, k, v):
        group = self._heads // self._kv_heads
        k, v = np.repeat(k, group, axis=1), np.repeat(v, group, axis=1)
        scores = np.einsum("qhd,khd->hqk", q, k, optimize=True) / np.sqrt(np.float32(self._head_width))
        scores = np.where(np.tril(np.ones(scores.shape[1:], bool)), scores, -np.inf)
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        return np.einsum("hqk,khd->qhd", weights, v, optimize=True).reshape(len(q), -1)
