"""Tests of scripts/check_docs.py on made-up trees."""

import pathlib
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
import check_docs  # noqa: E402


class Documents(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.root = pathlib.Path(self.folder.name)
        for path in ("router/router.h", "router/router.cc", "scripts/demo.sh", "docs/cli.md"):
            (self.root / path).parent.mkdir(parents=True, exist_ok=True)
            (self.root / path).write_text("# The `ask` command\n\n## Exit codes\n", encoding="utf-8")

    def tearDown(self):
        self.folder.cleanup()

    def problems(self, text):
        document = self.root / "README.md"
        document.write_text(text, encoding="utf-8")
        return check_docs.check_document(self.root, document)

    def test_what_is_there_is_right(self):
        self.assertEqual(self.problems(
            "[cli](docs/cli.md) [codes](docs/cli.md#exit-codes) [ask](docs/cli.md#the-ask-command)\n"
            "`router/router.h` `router/router.{h,cc}` `router/*.h` `router/` `scripts/demo.sh --help`\n"
            "[out](https://example.org/x) [mail](mailto:a@example.org)\n"), [])

    def test_a_link_to_nothing(self):
        self.assertIn("README.md:2: link to docs/gone.md", self.problems("a\n[x](docs/gone.md)")[0])

    def test_a_link_to_no_heading(self):
        self.assertIn("no such heading", self.problems("[x](docs/cli.md#gone)")[0])

    def test_a_picture_that_is_not_there(self):
        self.assertEqual(len(self.problems("![x](docs/gone.png)")), 1)

    def test_a_path_to_nothing(self):
        self.assertIn("`router/gone.h`", self.problems("see `router/gone.h`")[0])

    def test_one_of_two_braced_files_is_gone(self):
        self.assertIn("`router/gone.h`", self.problems("`router/{router,gone}.h`")[0])

    def test_a_script_to_nothing_even_in_a_fenced_block(self):
        self.assertIn("scripts/gone.sh", self.problems("```\nscripts/gone.sh --all\n```")[0])

    def test_words_that_are_no_paths(self):
        self.assertEqual(self.problems(
            "`std/vector` `near/far` `a/b` `router` `/scripts/x` `router/<name>/x`\n"), [])

    def test_a_fenced_block_may_name_files_to_come(self):
        self.assertEqual(self.problems("```\n`router/mine.h`\n```\n"), [])


if __name__ == "__main__":
    unittest.main()
