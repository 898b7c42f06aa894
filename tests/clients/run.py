#!/usr/bin/env python3
"""Runs clients that nobody here wrote against `ledgerline serve`: `tests/clients/run.py PROGRAM`.

This file needs nothing but Python: it sees that the tools are there, brings the pinned packages (`environments.py`),
and hands over to `clients.py` and `readme.py` inside them, each with a time limit. What is missing or cannot be fetched
is a failure that says so; nothing is skipped.
"""

import os
import pathlib
import signal
import subprocess
import sys

import environments

HERE = pathlib.Path(__file__).parent
PYTHON_MIN = (3, 10)
NODE_MIN = (20, 6)
# Seconds for each of the two parts, which take about ten; installing has a limit of its own.
PART_WITHIN_S = 300


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: tests/clients/run.py PROGRAM")
    program = pathlib.Path(sys.argv[1]).resolve()
    if not program.is_file():
        sys.exit(f"there is no program at {program}; build it with `cargo build`")
    require()
    clients, readme, node = environments.python("clients"), environments.python("readme"), environments.node()
    bounded([clients, HERE / "clients.py", program])
    bounded([sys.executable, HERE / "readme.py", program, readme, node])


def require():
    """Ends the run where something is missing or too old."""
    tools = ["bash", "curl", "node", "npm"]
    if subprocess.run([HERE.parents[1] / "tools" / "require", *tools], timeout=60).returncode != 0:
        sys.exit(1)
    said = subprocess.run(["node", "--version"], capture_output=True, text=True, timeout=60).stdout.strip()
    node = tuple(int(part) for part in said.lstrip("v").split(".")[:2])
    for name, version, oldest in [("Python", sys.version_info[:2], PYTHON_MIN), ("Node.js", node, NODE_MIN)]:
        if version < oldest:
            sys.exit(f"missing: {name} {dotted(oldest)} or newer; this is {dotted(version)}")


def dotted(version):
    return ".".join(map(str, version))


def bounded(line):
    """Runs a part in a process group of its own, which is all that is ended when its time is up."""
    part = subprocess.Popen(line, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        code = part.wait(PART_WITHIN_S)
    except BaseException as ended:
        os.killpg(part.pid, signal.SIGKILL)
        part.wait()
        if isinstance(ended, subprocess.TimeoutExpired):
            sys.exit(f"{line[1].name} was not done within {PART_WITHIN_S} s")
        raise
    if code != 0:
        sys.exit(f"{line[1].name} failed")


if __name__ == "__main__":
    main()
