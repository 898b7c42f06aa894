"""Python and Node environments with pinned packages, kept in the user's cache, outside the repository.

Each is named by what it is made from (the pinned list and the interpreter), so a changed list makes a new one and an
old one is never touched. Promises: every package is checked against a pinned hash; nothing is compiled and no script
of a package is run; an environment is whole or not there, also when two of these run at once or one is interrupted;
whatever fails ends the run with what failed and what to do.
"""

import fcntl
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys

PACKAGES = pathlib.Path(__file__).parent / "packages"
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "ledgerline" / "clients"
INSTALL_WITHIN_S = 600


def python(name):
    """The interpreter of an environment with the packages of `packages/NAME.txt`."""
    pinned = PACKAGES / f"{name}.txt"
    tag = f"{sys.implementation.cache_tag}-{os.uname().machine}"

    def make(directory):
        run([sys.executable, "-m", "venv", directory], "python3 cannot make virtual environments; install python3-venv")
        install = [directory / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        run([*install, "--require-hashes", "--only-binary", ":all:", "-r", pinned],
            f"pip could not install {pinned.name}; see that the package index is reachable")  # fmt: skip

    return environment(f"{name}-{tag}", [pinned], make) / "bin" / "python"


def node(packages=PACKAGES / "node", name="node"):
    """The directory with the `node_modules` of a directory with a pinned `package-lock.json`."""
    files = [packages / "package.json", packages / "package-lock.json"]

    def make(directory):
        directory.mkdir()
        for file in files:
            shutil.copy(file, directory)
        install = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        run(install, "npm could not install package-lock.json; see that the registry is reachable", cwd=directory)

    return environment(name, files, make)


def environment(name, files, make):
    """The directory made from `files`, made now where it is not there."""
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]
    directory = CACHE / f"{name}-{digest}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / f"{directory.name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Not a rename, as elsewhere: a virtual environment knows its own path.
        whole = directory / ".whole"
        if not whole.exists():
            print(f"installing {name} into {directory}", file=sys.stderr, flush=True)
            shutil.rmtree(directory, ignore_errors=True)
            make(directory)
            whole.touch()
    return directory


def run(line, hint, **more):
    try:
        ended = subprocess.run(line, timeout=INSTALL_WITHIN_S, stdin=subprocess.DEVNULL, **more)
    except FileNotFoundError:
        raise SystemExit(f"{line[0]} is missing: {hint}") from None
    except subprocess.TimeoutExpired:
        raise SystemExit(f"not done within {INSTALL_WITHIN_S} s: {hint}") from None
    if ended.returncode != 0:
        raise SystemExit(hint)
