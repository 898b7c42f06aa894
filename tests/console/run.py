#!/usr/bin/env python3
"""Looks at the console in a real browser: `tests/console/run.py PROGRAM [SCREENSHOTS]`.

It serves a ledger of ten thousand tenants, some with hostile names (`tenants.py`), and has a headless Chromium driven
through it (`browser.mjs`). Chromium comes by `tools/fetch-browser`, its driver and the checker of accessibility as
packages pinned with hashes (`packages/`). What is missing or cannot be fetched is a failure that says so; nothing is
skipped. Pictures are written to SCREENSHOTS, for people to look at.
"""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "tests" / "clients"))

import environments  # noqa: E402
from server import Server  # noqa: E402

import tenants  # noqa: E402

BROWSER_WITHIN_S = 600
LOOK_WITHIN_S = 300


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: tests/console/run.py PROGRAM [SCREENSHOTS]")
    program = pathlib.Path(sys.argv[1]).resolve()
    if not program.is_file():
        sys.exit(f"there is no program at {program}; build it with `cargo build`")
    if subprocess.run([ROOT / "tools" / "require", "bash", "node", "npm"], timeout=60).returncode != 0:
        sys.exit(1)
    found = subprocess.run([ROOT / "tools" / "fetch-browser"], stdout=subprocess.PIPE, text=True, timeout=BROWSER_WITHIN_S)
    if found.returncode != 0:
        sys.exit(1)
    packages = environments.node(HERE / "packages", "console")
    with tempfile.TemporaryDirectory(prefix="ledgerline-console-") as scratch:
        scratch = pathlib.Path(scratch)
        pictures = pathlib.Path(sys.argv[2]).resolve() if len(sys.argv) == 3 else scratch / "pictures"
        pictures.mkdir(parents=True, exist_ok=True)
        with Server(program, scratch / "data") as server:
            tenants.send(server)
            look(server, found.stdout.strip(), packages, pictures, scratch)


def look(server, browser, packages, pictures, scratch):
    """Runs the browser's part in a process group of its own, which is all that is ended when its time is up."""
    told = {
        "address": "http://" + server.address["admin"].removeprefix("http://"),
        "browser": browser,
        "packages": str(packages / "node_modules"),
        "pictures": str(pictures),
        "profile": str(scratch / "profile"),
        "tenants": tenants.COUNT,
        "hostile": tenants.HOSTILE,
        "trace": tenants.HOSTILE_TRACE,
        "spanName": tenants.HOSTILE_SPAN,
        "reversed": tenants.REVERSED,
        "reversedTrace": f"{tenants.HOSTILE.index(tenants.REVERSED) + 1:032x}",
    }
    line = ["node", HERE / "browser.mjs", json.dumps(told)]
    # A browser of root refuses its sandbox, and keeps what it would leave in a home directory here.
    own = {**os.environ, "HOME": str(scratch)}
    part = subprocess.Popen(line, stdin=subprocess.DEVNULL, start_new_session=True, env=own)
    try:
        code = part.wait(LOOK_WITHIN_S)
    except BaseException as ended:
        os.killpg(part.pid, signal.SIGKILL)
        part.wait()
        if isinstance(ended, subprocess.TimeoutExpired):
            sys.exit(f"browser.mjs was not done within {LOOK_WITHIN_S} s")
        raise
    if code != 0:
        sys.exit("browser.mjs failed")


if __name__ == "__main__":
    main()
