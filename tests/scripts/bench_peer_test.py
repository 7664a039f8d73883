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
            echo '{{"kernels": "k", "prefill_tokens_per_s": {speed}, "peak_rss_mib": {speed},' \\
                 '"prefill_percent_of_int8_peak": 41, "decode": [' \\
                 '{{"depth": 0, "tokens_per_s": {speed}, "percent_of_bandwidth": 92}},' \\
                 '{{"depth": 7, "tokens_per_s": 4, "percent_of_bandwidth": 43}}]}}'
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
            for row in ("prefill 512 | 20.0 | 10.0 | 2.00 | 41 % of int8 peak",
                        "decode 128 at depth 0 | 20.0 | 10.0 | 2.00 | 92 % of bandwidth",
                        "decode 128 at depth 7 | 4.0 | 4.0 | 1.00 | 43 % of bandwidth",
                        "peak MiB | 20 | 10 | 2.00 |"):
                self.assertIn(f"| qwen2.5-coder-0.5b-instruct-q4_k_m | 1 | {row} |", done.stdout)

    def test_a_path_is_a_model_too(self):
        path = self.root / "own.gguf"
        path.touch()
        done = self.run_script("--threads", "1", str(path))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("| own | 1 | prefill 512 | 20.0 |", done.stdout)

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
            self.assertRegex(done.stderr, r"^(bench_peer|models)\.sh: ")


if __name__ == "__main__":
    unittest.main()
