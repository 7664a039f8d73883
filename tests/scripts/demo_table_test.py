"""Tests of scripts/demo_table.py: what the demo shows of its answers."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "demo_table.py"

ANSWER = {"question": "Q?", "answer": "日本 é", "route": "near", "reason": "net_value", "detail": "",
          "confidence": 0.5, "flagged": True, "flag_reason": "offline", "seconds": 0.5, "cost_usd": 0}
FAILURE = {"question": "Q2?", "error": {"code": "UNAVAILABLE", "message": "nobody answers"},
           "cost_usd": 0}


class Showing(unittest.TestCase):
    def show(self, *records, **environment):
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".jsonl") as file:
            file.write("".join(json.dumps(record) + "\n" for record in records))
            file.flush()
            return subprocess.run([sys.executable, str(SCRIPT), file.name],
                                  env={**os.environ, **environment}, capture_output=True,
                                  encoding="utf-8", check=False)

    def test_an_answer_and_a_failure_are_rows(self):
        done = self.show(ANSWER, FAILURE)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("net_value [flagged: offline]", done.stdout)
        self.assertIn("nobody answers", done.stdout)

    def test_any_locale_will_do(self):
        done = self.show(ANSWER, PYTHONIOENCODING="ascii")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("日本 é", done.stdout)

    def test_nothing_to_show_is_an_error(self):
        done = self.show()
        self.assertEqual(done.returncode, 1)
        self.assertIn("no answer to show", done.stderr)


if __name__ == "__main__":
    unittest.main()
