"""Symbols of the Arm programs as arm_loops.py and arm_table.py print them."""

import re
import subprocess


def short_names(symbols):
    """{symbol: demangled, without namespaces and parameters}, as MultiplyDirectly<Q4_0, 1>"""
    symbols = list(symbols)
    done = subprocess.run(["c++filt"], input="\n".join(symbols), capture_output=True, text=True, check=True)
    return {symbol: _shortened(name) for symbol, name in zip(symbols, done.stdout.splitlines())}


def _shortened(name):
    name = re.sub(r"\(anonymous namespace\)::|nearfar::kernels::|nearfar::|absl::debian\w+::", "", name)
    return name.split("(", 1)[0].strip().removeprefix("void ")
