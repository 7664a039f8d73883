"""Tests of scripts/build.sh in a made-up project: the script builds the tree that it lies in."""

import json
import pathlib
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]

PROJECT = """\
cmake_minimum_required(VERSION 3.25)
project(small LANGUAGES NONE)
add_custom_target(good COMMAND ${CMAKE_COMMAND} -E touch ${CMAKE_BINARY_DIR}/made)
add_custom_target(bad COMMAND ${CMAKE_COMMAND} -E echo "error: it cannot be" COMMAND false)
"""


class Building(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.root = pathlib.Path(temporary.name)
        (self.root / "scripts").mkdir()
        shutil.copy(ROOT / "scripts" / "build.sh", self.root / "scripts")
        (self.root / "CMakeLists.txt").write_text(PROJECT)
        (self.root / "CMakePresets.json").write_text(json.dumps({
            "version": 6,
            "configurePresets": [{"name": "dev", "generator": "Ninja",
                                  "binaryDir": "${sourceDir}/build/dev"}],
            "buildPresets": [{"name": "dev", "configurePreset": "dev"}]}))

    def run_script(self, *arguments):
        # From elsewhere: the script must not depend on the working folder.
        return subprocess.run(["bash", str(self.root / "scripts" / "build.sh"), *arguments], cwd="/",
                              capture_output=True, text=True, check=False)

    def test_a_target_is_built_and_the_steps_are_shown(self):
        done = self.run_script("dev", "good")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertTrue((self.root / "build" / "dev" / "made").exists())
        self.assertIn("building dev: 100 % of 1 steps", done.stdout)
        self.assertIn("Configuring done", (self.root / "build" / "dev.log").read_text())

    def test_nothing_to_do_is_told_too(self):
        (self.root / "CMakeLists.txt").write_text("cmake_minimum_required(VERSION 3.25)\n"
                                                  "project(empty LANGUAGES NONE)\n")
        done = self.run_script("dev")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertRegex(done.stdout, r"^built dev \(\d+ s\)$")

    def test_a_failure_shows_its_errors_and_the_log(self):
        done = self.run_script("dev", "bad")
        self.assertEqual(done.returncode, 1)
        self.assertIn("error: it cannot be", done.stdout)
        self.assertIn("build/dev.log", done.stderr)

    def test_a_project_that_does_not_configure_is_told(self):
        (self.root / "CMakeLists.txt").write_text(PROJECT + 'message(FATAL_ERROR "no compiler")\n')
        done = self.run_script("dev", "good")
        self.assertEqual(done.returncode, 1)
        self.assertIn("no compiler", done.stdout)

    def test_wrong_use(self):
        for arguments in ([], ["--fast"]):
            self.assertEqual(self.run_script(*arguments).returncode, 64)
        self.assertEqual(self.run_script("no-such-preset").returncode, 1)
        self.assertIn("scripts/build.sh PRESET", self.run_script("--help").stdout)


if __name__ == "__main__":
    unittest.main()
