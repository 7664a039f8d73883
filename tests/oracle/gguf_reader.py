"""A minimal GGUF reader for the oracles: metadata, and tensors dequantized by the peer's own code."""

import ctypes
import mmap
import struct

import numpy as np

import peer_ggml

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_NAMES = {number: name for name, number in peer_ggml.TYPES.items()}


class GgufReader:
    def __init__(self, path):
        with open(path, "rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._at = 4
        _, tensors, entries = self._take("I"), self._take("Q"), self._take("Q")
        self.metadata = {}
        for _ in range(entries):
            key = self._text()
            self.metadata[key] = self._value(self._take("I"))
        self._tensors = {}
        for _ in range(tensors):
            name = self._text()
            shape = [self._take("Q") for _ in range(self._take("I"))]
            self._tensors[name] = (shape, _NAMES[self._take("I")], self._take("Q"))
        alignment = self.metadata.get("general.alignment", 32)
        self._data = -(-self._at // alignment) * alignment

    def _take(self, code):
        value = struct.unpack_from("<" + code, self._map, self._at)[0]
        self._at += struct.calcsize("<" + code)
        return value

    def _text(self):
        length = self._take("Q")
        self._at += length
        return self._map[self._at - length:self._at].decode()

    def _value(self, kind):
        if kind == 8:
            return self._text()
        if kind == 9:
            element, count = self._take("I"), self._take("Q")
            return [self._value(element) for _ in range(count)]
        return self._take(_SCALARS[kind])

    def __contains__(self, name):
        return name in self._tensors

    def tensor(self, name):
        """f32 [rows, columns], or [columns] of a vector."""
        shape, kind, offset = self._tensors[name]
        n = int(np.prod(shape))
        start = self._data + offset
        if kind == "F32":
            flat = np.frombuffer(self._map, np.float32, n, start).copy()
        else:
            fmt = peer_ggml.Format(kind)
            size = n // fmt.block_elements * fmt.block_bytes
            raw = np.frombuffer(self._map, np.uint8, size, start)
            flat = np.empty(n, np.float32)
            fmt.decode_into(raw.ctypes.data_as(ctypes.c_void_p), flat.ctypes.data_as(ctypes.c_void_p), n)
        return flat.reshape(shape[::-1])
