"""Tests of scripts/check_layout.py in a made-up repository, with a made-up clang-format."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
import check_layout  # noqa: E402

# Finds fault with each file that has two spaces in a row, as clang-format words it.
FORMATTER = """#!/bin/sh
bad=0
for file in "$@"; do
  case "$file" in --*) continue ;; esac
  if grep -q '  ' "$file"; then
    echo "$file:1:4: error: code should be clang-formatted [-Wclang-format-violations]" >&2
    bad=1
  fi
done
exit $bad
"""


class Layout(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.root = pathlib.Path(self.folder.name)
        self.formatter = self.root / "formatter"
        self.formatter.write_text(FORMATTER, encoding="ascii")
        self.formatter.chmod(0o755)
        subprocess.run(["git", "init", "-q"], cwd=self.root, check=True)

    def tearDown(self):
        self.folder.cleanup()

    def check(self, **files):
        for name, text in files.items():
            (self.root / f"{name}.cc").write_text(text, encoding="ascii")
        subprocess.run(["git", "add", "*.cc"], cwd=self.root, check=True)
        return check_layout.check(self.root, str(self.formatter))

    def test_a_clean_tree_is_right(self):
        self.assertEqual(self.check(one="int x;\n", two="int y;\n"), (2, []))

    def test_a_file_with_a_fault_is_named(self):
        self.assertEqual(self.check(one="int x;\n", two="int  y;\n"),
                         (2, ["two.cc: 1 places (clang-format -i two.cc)"]))

    def test_a_formatter_that_fails_is_no_clean_tree(self):
        self.formatter.write_text("#!/bin/sh\necho 'no such style' >&2\nexit 1\n", encoding="ascii")
        self.assertEqual(self.check(one="int x;\n"), (1, ["no such style"]))

    def test_a_formatter_that_is_missing_is_no_clean_tree(self):
        self.formatter.unlink()
        _, problems = self.check(one="int x;\n")
        self.assertIn("scripts/setup.sh", problems[0])


if __name__ == "__main__":
    unittest.main()
