"""ggml's tensor types through the peer's own shared library (llama-cpp-python==0.3.36).

Reads only `struct ggml_type_traits` of ggml.h: name, block size, type size, to_float, from_float_ref.
"""

import ctypes
import os

import llama_cpp

# The numbers of enum ggml_type for the formats that nearfar reads.
TYPES = {
    "F32": 0, "F16": 1, "Q4_0": 2, "Q4_1": 3, "Q5_0": 6, "Q5_1": 7, "Q8_0": 8,
    "Q4_K": 12, "Q5_K": 13, "Q6_K": 14, "BF16": 30,
}


class _TypeTraits(ctypes.Structure):
    _fields_ = [
        ("type_name", ctypes.c_char_p),
        ("blck_size", ctypes.c_int64),
        ("blck_size_interleave", ctypes.c_int64),
        ("type_size", ctypes.c_size_t),
        ("is_quantized", ctypes.c_bool),
        ("to_float", ctypes.c_void_p),
        ("from_float_ref", ctypes.c_void_p),
    ]


_folder = os.path.join(os.path.dirname(llama_cpp.__file__), "lib")
_lib = ctypes.CDLL(os.path.join(_folder, "libggml-base.so"))
_lib.ggml_get_type_traits.restype = ctypes.POINTER(_TypeTraits)
_lib.ggml_get_type_traits.argtypes = [ctypes.c_int]
_CONVERT = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)


class Format:
    """One tensor type of the peer."""

    def __init__(self, name):
        traits = _lib.ggml_get_type_traits(TYPES[name]).contents
        assert traits.type_name.decode().lower() == name.lower(), traits.type_name
        self.name = name
        self.block_elements = traits.blck_size
        self.block_bytes = traits.type_size
        self._to_float = _CONVERT(traits.to_float) if traits.to_float else None
        self._from_float = _CONVERT(traits.from_float_ref) if traits.from_float_ref else None

    def decode(self, data):
        n = len(data) // self.block_bytes * self.block_elements
        out = (ctypes.c_float * n)()
        source = ctypes.create_string_buffer(data, len(data))
        self._to_float(source, out, n)
        return list(out)

    def decode_into(self, source, out, n):
        """From one pointer to another, n weights."""
        self._to_float(source, out, n)

    def encode(self, values):
        n = len(values)
        source = (ctypes.c_float * n)(*values)
        out = ctypes.create_string_buffer(n // self.block_elements * self.block_bytes)
        self._from_float(source, out, n)
        return out.raw
