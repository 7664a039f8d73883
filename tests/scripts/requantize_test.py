"""Tests of scripts/requantize.py with a made-up llama_cpp in the place of the real one."""

import os
import pathlib
import subprocess
import sys
import tempfile
import textwrap
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]

# "Quantizes" by a copy that says how it was asked; a source named bad.gguf fails halfway.
LLAMA_CPP = """\
    import ctypes

    LLAMA_FTYPE_MOSTLY_Q4_0 = 2
    LLAMA_FTYPE_MOSTLY_Q8_0 = 7

    class Parameters(ctypes.Structure):
        _fields_ = [("ftype", ctypes.c_int), ("allow_requantize", ctypes.c_bool)]

    llama_model_quantize_default_params = Parameters
    llama_log_callback = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)

    def llama_log_set(callback, data):
        pass

    def llama_model_quantize(source, target, parameters):
        with open(target, "w") as file:
            file.write(f"{parameters._obj.ftype} {parameters._obj.allow_requantize}")
        return 1 if source.endswith(b"bad.gguf") else 0
    """


class Requantizing(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.root = pathlib.Path(temporary.name)
        (self.root / "llama_cpp.py").write_text(textwrap.dedent(LLAMA_CPP), encoding="utf-8")
        for name in ("model.gguf", "bad.gguf"):
            (self.root / name).touch()

    def run_script(self, source, file_type, target, path=None):
        environment = {**os.environ, "PYTHONPATH": str(path or self.root)}
        return subprocess.run(
            [sys.executable, str(ROOT / "scripts/requantize.py"), str(self.root / source), file_type,
             str(self.root / target)], env=environment, capture_output=True, text=True, check=False)

    def test_the_new_file_has_the_wanted_type(self):
        done = self.run_script("model.gguf", "Q8_0", "new.gguf")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual((self.root / "new.gguf").read_text(encoding="utf-8"), "7 True")

    def test_what_fails_leaves_no_file(self):
        done = self.run_script("bad.gguf", "q4_0", "new.gguf")
        self.assertEqual(done.returncode, 65)
        self.assertIn("could not quantize", done.stderr)
        self.assertEqual(list(self.root.glob("new*")), [])

    def test_wrong_use(self):
        for source, file_type, target, code, words in (
                ("model.gguf", "q9_9", "new.gguf", 64, "it knows q4_0, q8_0"),
                ("no.gguf", "q4_0", "new.gguf", 66, "there is no file"),
                ("model.gguf", "q4_0", "no/new.gguf", 66, "there is no folder")):
            done = self.run_script(source, file_type, target)
            self.assertEqual(done.returncode, code, done.stderr)
            self.assertIn(words, done.stderr)

    def test_without_the_peer(self):
        (self.root / "none").mkdir()
        (self.root / "none" / "llama_cpp.py").write_text("raise ImportError\n", encoding="utf-8")
        done = self.run_script("model.gguf", "q4_0", "new.gguf", self.root / "none")
        self.assertEqual(done.returncode, 69)
        self.assertIn("scripts/install_peer.sh", done.stderr)


if __name__ == "__main__":
    unittest.main()
