"""Tests of scripts/bench_arm.sh: its table with made-up counts, its loops with made-up assembly."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "bench"))
import arm_loops  # noqa: E402
import arm_names  # noqa: E402


class Table(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.root = pathlib.Path(temporary.name)

    def write_counts(self, name, sdot, other, function):
        path = self.root / name
        path.write_text(f"{sdot}\tkind\tsdot\n{other}\tkind\tother\n"
                        f"{function}\tfunction\t_ZN7nearfar4WorkEi\n"
                        f"{sdot + other - function}\tfunction\tmain\n", encoding="utf-8")
        return str(path)

    def table(self, model, cpu, case, *arguments):
        shorter = self.write_counts("shorter", 1_000_000, 5_000_000, 2_000_000)
        longer = self.write_counts("longer", 9_000_000, 21_000_000, 24_000_000)
        results = self.root / "results"
        results.write_text("\t".join((model, cpu, "kernels", case, "8", shorter, longer)) + "\n",
                           encoding="utf-8")
        done = subprocess.run([sys.executable, str(ROOT / "tests/bench/arm_table.py"), str(results),
                               *arguments], capture_output=True, text=True, check=True)
        return done.stdout

    def test_a_count_is_the_difference_for_a_token(self):
        self.assertIn("| some-q4_0 | neoverse-n1 | kernels | decode | 3.00 | 1.00 | 0.00 |",
                      self.table("some-q4_0", "neoverse-n1", "decode"))

    def test_the_peer_is_of_the_same_weights_and_the_same_instructions(self):
        for model, cpu, case, peer in (("x-q4_0", "neoverse-n1", "decode", "38.6 (dotprod)"),
                                       ("x-q4_0", "max,sve=off", "decode", "46.8 (i8mm)"),
                                       ("x-q4_1", "neoverse-n1", "decode", "103.4 (i8mm)"),
                                       ("x-q4_0", "cortex-a53", "decode", "-"),
                                       ("x-q6_k", "neoverse-n1", "decode", "-"),
                                       ("x", "neoverse-n1", "decode", "-")):
            self.assertTrue(self.table(model, cpu, case).rstrip().endswith(f"| {peer} |"), (model, cpu))

    def test_by_function(self):
        printed = self.table("x", "y", "decode", "--by-function")
        self.assertIn("2.750   91.7 %  Work", printed)
        self.assertIn("0.250    8.3 %  main", printed)


class Loops(unittest.TestCase):
    def test_the_inner_loop_is_the_one_around_the_most_dot_products(self):
        lines = ["\t.type\tf, %function", ".L1:", "\tmov\tx0, x1", ".L2:", "\t.loc 1",
                 "\tsdot\tv0.4s, v1.16b, v2.4b[0]", "\tcmp\tx0, x1", "\tbne\t.L2", ".L3:",
                 "\tsdot\tv0.4s, v1.16b, v2.4b[0]", "\tsmmla\tv0.4s, v1.16b, v2.16b",
                 "\tcbnz\tx0, .L3", "\tb\t.L4", ".L4:", "\tret"]
        loop = arm_loops.inner_loop(lines)
        self.assertEqual(loop[-1], "\tcbnz\tx0, .L3")
        self.assertEqual(len(loop), 3)

    def test_no_loop(self):
        self.assertEqual(arm_loops.inner_loop(["\tsdot\tv0.4s, v1.16b, v2.4b[0]", "\tret"]), [])


class Use(unittest.TestCase):
    def test_wrong_use(self):
        for arguments in (["--no-such-option"], ["--cpu"], ["--cases", "sleep"], ["no-such-model"]):
            done = subprocess.run(["bash", str(ROOT / "scripts/bench_arm.sh"), *arguments],
                                  capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 64, arguments)
            self.assertRegex(done.stderr, r"^(bench_arm|models)\.sh: ")

    def test_a_file_that_is_not_there(self):
        done = subprocess.run(["bash", str(ROOT / "scripts/bench_arm.sh"), "missing.gguf"],
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 66)
        self.assertIn("there is no file missing.gguf", done.stderr)


class Names(unittest.TestCase):
    def test_a_name_keeps_its_template_arguments_only(self):
        symbol = "_ZN7nearfar7kernels12_GLOBAL__N_14WorkINS0_5OtherELi1EEEvi"
        self.assertEqual(arm_names.short_names([symbol, "main"]), {symbol: "Work<Other, 1>", "main": "main"})


if __name__ == "__main__":
    unittest.main()
