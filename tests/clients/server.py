"""A `ledgerline serve` process on a data directory of its own, and what is asked of it.

Promises: addresses come from the `ready` line, so any number of these run at once; every wait is bounded; leaving the
`with` block asks the process to stop and insists on exit code 0; only the process started here is ever ended.
"""

import json
import os
import pathlib
import subprocess
import threading

READY_WITHIN_S = 60
COMMAND_WITHIN_S = 60
STOP_WITHIN_S = 60
OWNER = "ledgerline"


class Server:
    def __init__(self, program, data_dir):
        self.program = pathlib.Path(program).resolve()
        self.data_dir = pathlib.Path(data_dir)

    def __enter__(self):
        flags = ["--otlp-grpc-addr", "--otlp-http-addr", "--admin-addr", "--clickhouse-addr"]
        line = [self.program, "serve", "--data-dir", self.data_dir]
        line += [word for flag in flags for word in (flag, "127.0.0.1:0")]
        self.start(line, environment())
        return self

    def start(self, line, environment, directory=None):
        """Starts `line` and reads the addresses of its `ready` line."""
        self.process = subprocess.Popen(
            line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, env=environment, cwd=directory
        )
        # A process that never says `ready` would hold the read for ever.
        watch = threading.Timer(READY_WITHIN_S, self.process.kill)
        watch.start()
        ready = self.process.stdout.readline()
        watch.cancel()
        if not ready.startswith("ready "):
            self.process.kill()
            code = self.process.wait()
            raise SystemExit(f"`serve` said {ready!r} and not `ready` within {READY_WITHIN_S} s; its exit code is {code}")
        self.address = dict(word.split("=", 1) for word in ready.split()[1:])

    def __exit__(self, failure, *_):
        self.process.terminate()
        try:
            code = self.process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            code = f"none within {STOP_WITHIN_S} s"
        if failure is None and code != 0:
            raise SystemExit(f"`serve` was asked to stop and ended with exit code {code}")

    def command(self, *words):
        """Runs a command on the server's data directory; it must succeed."""
        line = [self.program, *words, "--data-dir", self.data_dir]
        ended = subprocess.run(line, capture_output=True, text=True, timeout=COMMAND_WITHIN_S)
        if ended.returncode != 0:
            raise SystemExit(f"`{' '.join(words)}` ended with exit code {ended.returncode}: {ended.stderr}")
        return ended.stdout

    def usage(self, *words):
        """The rows of `usage --format json`, settled before; a number with a fraction is refused."""
        self.command("settle")
        answer = self.command("usage", *words, "--format", "json")
        return json.loads(answer, parse_float=_no_floats)["rows"]

    @property
    def clickhouse(self):
        """Host and port of the ClickHouse interface."""
        host, port = self.address["clickhouse"].removeprefix("http://").rsplit(":", 1)
        return host, int(port)

    @property
    def password(self):
        """The owner's password."""
        return (self.data_dir / "clickhouse-owner-password").read_text().strip()


def environment():
    """The variables of whoever runs the tests, without settings of theirs; only warnings are logged."""
    kept = ("LEDGERLINE_ENGINE_LIBRARY",)
    own = {name: value for name, value in os.environ.items() if not name.startswith("LEDGERLINE_") or name in kept}
    return {**own, "LEDGERLINE_LOG_LEVEL": "warn"}


def _no_floats(text):
    raise SystemExit(f"`usage` answered {text} as a number; money is a decimal in a string")
