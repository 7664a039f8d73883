"""Tests of scripts/bench_peer.sh with made-up programs in the place of both sides."""

import os
import pathlib
import subprocess
import tempfile
import textwrap
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "bench_peer.sh"


class Comparing(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.root = pathlib.Path(temporary.name)
        (self.root / "models").mkdir()
        (self.root / "models" / "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf").touch()
        (self.root / "bin").mkdir()
        self.write_side("nearfar", 20)
        self.write_side("bin/python", 10)

    def write_side(self, name, speed):
        """A program that measures nothing, but only where its model file is there."""
        path = self.root / name
        path.write_text(textwrap.dedent(f"""\
            #!/bin/bash
            [ "$1" != -c ] || exit 0  # is the peer installed?
            while [ $# -gt 0 ] && [ "$1" != --model ]; do shift; done
            [ -f "$2" ] || exit 66
            echo '{{"kernels": "k", "prefill_tokens_per_s": {speed}, "decode_tokens_per_s": {speed},' \\
                 '"prefill_percent_of_int8_peak": 41, "decode_percent_of_bandwidth": 92,' \\
                 '"peak_rss_mib": 1}}'
            """))
        path.chmod(0o755)

    def run_script(self, *arguments):
        environment = {**os.environ, "NEARFAR_PEER": str(self.root),
                       "NEARFAR_MODELS": str(self.root / "models")}
        return subprocess.run(
            ["bash", str(SCRIPT), "--program", str(self.root / "nearfar"), "--pairs", "1",
             *arguments], env=environment, capture_output=True, text=True, check=False)

    def test_an_alias_a_name_and_a_file_are_one_model(self):
        for name in ("qwen2.5-coder-0.5b", "qwen2.5-coder-0.5b-instruct-q4_k_m",
                     "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"):
            done = self.run_script("--threads", "1", name)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("| qwen2.5-coder-0.5b-instruct-q4_k_m | 1 | 20.0 | 10.0 | 2.00 | 41 % "
                          "| 20.0 | 10.0 | 2.00 | 92 % | 1 | 1 |", done.stdout)

    def test_a_side_that_fails_ends_the_run(self):
        (self.root / "bin" / "python").write_text("#!/bin/bash\n[ \"$1\" = -c ]\n")
        done = self.run_script("qwen2.5-coder-0.5b")
        self.assertEqual(done.returncode, 70)
        self.assertIn("measuring llama.cpp with qwen2.5-coder-0.5b-instruct-q4_k_m failed",
                      done.stderr)
        self.assertEqual(done.stdout, "")

    def test_wrong_use(self):
        for arguments in (["no-such-model"], ["--no-such-option"], ["--threads"]):
            done = self.run_script(*arguments)
            self.assertEqual(done.returncode, 64, arguments)
            self.assertIn("bench_peer.sh: ", done.stderr)


if __name__ == "__main__":
    unittest.main()
