#!/usr/bin/env python3
"""Writes a GGUF file anew in another quantization, with llama.cpp's own quantizer.

  ~/.cache/nearfar/peer/bin/python scripts/requantize.py model.gguf q4_0 model-q4_0.gguf

TYPE is one of llama.cpp's file types: q4_0, q5_0, q8_0, q4_k_m and so on. Weights that were
quantized already are decoded and rounded again, so the new file serves to measure speed; to ask the
model something, quantize from the original weights. Needs the Python of scripts/install_peer.sh.
Held by tests/scripts/requantize_test.py.
"""

import argparse
import ctypes
import os
import pathlib
import sys

EX_USAGE, EX_DATAERR, EX_NOINPUT, EX_UNAVAILABLE = 64, 65, 66, 69


def fail(code, message):
    print(f"requantize.py: {message}", file=sys.stderr)
    sys.exit(code)


try:
    import llama_cpp
except ImportError:
    fail(EX_UNAVAILABLE, "this Python has no llama_cpp; run scripts/install_peer.sh, then use the "
                         "Python that it names")

PREFIX = "LLAMA_FTYPE_MOSTLY_"


def file_types():
    return {name.removeprefix(PREFIX).lower(): getattr(llama_cpp, name)
            for name in dir(llama_cpp) if name.startswith(PREFIX)}


@llama_cpp.llama_log_callback
def be_quiet(_level, _text, _data):
    """One line a tensor is not for us to print."""


def requantize(source, file_type, target):
    """True if `target` was written. It gets its name when it is whole."""
    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.ftype = file_type
    parameters.allow_requantize = True
    llama_cpp.llama_log_set(be_quiet, ctypes.c_void_p(0))
    partial = target.with_name(target.name + ".partial")
    code = llama_cpp.llama_model_quantize(os.fsencode(source), os.fsencode(partial),
                                          ctypes.byref(parameters))
    if code != 0:
        partial.unlink(missing_ok=True)
        return False
    partial.rename(target)
    return True


def main():
    parser = argparse.ArgumentParser(description="Writes a GGUF file anew in another quantization.")
    parser.add_argument("source", type=pathlib.Path)
    parser.add_argument("type", help="a file type of llama.cpp, such as q4_0")
    parser.add_argument("target", type=pathlib.Path)
    arguments = parser.parse_args()
    types = file_types()
    if arguments.type.lower() not in types:
        fail(EX_USAGE, f"llama.cpp knows no file type '{arguments.type}'; it knows "
                       f"{', '.join(sorted(types))}")
    if not arguments.source.is_file():
        fail(EX_NOINPUT, f"there is no file {arguments.source}")
    if not arguments.target.parent.is_dir():
        fail(EX_NOINPUT, f"there is no folder {arguments.target.parent} to write into")
    if not requantize(arguments.source, types[arguments.type.lower()], arguments.target):
        fail(EX_DATAERR, f"llama.cpp could not quantize {arguments.source} to {arguments.type}; is "
                         f"it a whole GGUF model, and is there room in {arguments.target.parent}?")


if __name__ == "__main__":
    main()
