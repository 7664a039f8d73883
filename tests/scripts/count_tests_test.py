"""Tests of scripts/count_tests.py: what counts as passed, failed, skipped."""

import pathlib
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
import count_tests  # noqa: E402

JUNIT = '<testsuite name="x" tests="1">{}</testsuite>'
RUN = '<testcase name="{}" status="run"/>'
FAIL = '<testcase name="{}" status="fail"><failure message=""/></testcase>'
MISSING = '<testcase name="{}" status="notrun"><skipped message="Unable to find executable"/></testcase>'
SKIPPED = '<testcase name="{}" status="notrun"><skipped message="SKIP_RETURN_CODE=77"/></testcase>'
GTEST = '<testsuites><testsuite name="S">{}</testsuite></testsuites>'
PASS_CASE = '<testcase name="{}" classname="S" status="run" result="completed"/>'
FAIL_CASE = ('<testcase name="{}" classname="S" status="run" result="completed">'
             '<failure message="no"/></testcase>')
SKIP_CASE = ('<testcase name="{}" classname="S" status="run" result="skipped">'
             '<skipped message="a.cc:3&#x0A;no model file"/></testcase>')
OFF_CASE = '<testcase name="{}" classname="S" status="notrun" result="suppressed"/>'


class Counting(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = pathlib.Path(self.folder.name)

    def tearDown(self):
        self.folder.cleanup()

    def write(self, label, entries, gtests=None, extra=None):
        (self.path / label).mkdir()
        (self.path / f"{label}.junit.xml").write_text(JUNIT.format("".join(entries)))
        for name, cases in (gtests or {}).items():
            (self.path / label / f"{name}.xml").write_text(GTEST.format("".join(cases)))
        if extra:
            (self.path / "extra.tsv").write_text(extra)

    def counted(self):
        return count_tests.count_all(self.path)

    def test_a_plain_entry_is_one(self):
        self.write("native", [RUN.format("a"), FAIL.format("b")])
        self.assertEqual(self.counted().line(), "1 passed, 1 failed, 0 skipped")

    def test_a_googletest_binary_is_its_cases(self):
        self.write("native", [FAIL.format("a")],
                   {"a": [PASS_CASE.format("p"), FAIL_CASE.format("f"), SKIP_CASE.format("s"),
                          OFF_CASE.format("o")]})
        count = self.counted()
        self.assertEqual(count.line(), "1 passed, 1 failed, 1 skipped")
        self.assertEqual(count.skip_reasons, ["native/S.s: no model file"])

    def test_a_crash_is_a_failure_though_no_case_failed(self):
        self.write("native", [FAIL.format("a")], {"a": [PASS_CASE.format("p")]})
        self.assertEqual(self.counted().line(), "1 passed, 1 failed, 0 skipped")

    def test_a_crash_while_the_xml_was_written(self):
        self.write("native", [FAIL.format("a")])
        (self.path / "native" / "a.xml").write_text("<testsuites><test")
        self.assertEqual(self.counted().line(), "0 passed, 1 failed, 0 skipped")

    def test_a_program_that_was_not_built_is_a_failure(self):
        self.write("native", [MISSING.format("a")])
        self.assertEqual(self.counted().line(), "0 passed, 1 failed, 0 skipped")

    def test_a_skipped_entry(self):
        self.write("native", [SKIPPED.format("a")])
        self.assertEqual(self.counted().line(), "0 passed, 0 failed, 1 skipped")

    def test_runs_add_up_with_what_is_beside_them(self):
        self.write("native", [RUN.format("a")])
        self.write("arm64-max", [RUN.format("a")],
                   extra="skip\tarm64\tno qemu\nfail\tbuild\tsee log\npass\tfloors\tok\n")
        count = self.counted()
        self.assertEqual(count.line(), "3 passed, 1 failed, 1 skipped")

    def test_one_run_alone(self):
        self.write("native", [RUN.format("a")])
        self.write("asan", [FAIL.format("a")])
        self.assertEqual(count_tests.count_all(self.path, "native").failed, 0)

    def test_nothing_at_all_is_no_success(self):
        self.assertEqual(self.counted().failed, 1)

    def test_a_run_without_results_is_a_failure(self):
        (self.path / "native").mkdir()
        self.assertEqual(self.counted().failed, 1)


if __name__ == "__main__":
    unittest.main()
