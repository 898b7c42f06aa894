"""README.md's own code, run as it stands.

In a directory that looks like the repository after a build (`target/release/ledgerline` is the program), every shell,
Python and Node block of README.md is run, in the order a reader would. Only the ports differ: `serve` is given free ones by its
environment, and where a block names a default address, the one in use stands instead. AI calls go to a provider on
loopback. Promises: what a block should bring about is looked up in `usage`; a block that this file does not know fails
the check, so that README has no code nobody ran; what README says to install is what is installed here.
"""

import datetime
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
from decimal import Decimal

import expect
import provider
from server import Server, environment

README = pathlib.Path(__file__).parents[2] / "README.md"
PACKAGES = pathlib.Path(__file__).parent / "packages"
BLOCK_WITHIN_S = 120
# What a block that is run is known by, and those that are not run here, with the reason.
KNOWN = [
    "ledgerline serve --data-dir", "curl -sS", "$ledgerline settle", "pip install", "OpenAIInstrumentor()",
    "npm install", "// telemetry.mjs", "// app.mjs", "node --import", "ledgerline keys create",
]  # fmt: skip
ELSEWHERE = {
    "clickhouse.example.com": "needs a server of the reader's",
    "SpanExporter::builder()": "the end-to-end tests run the SDK for Rust",
}
# USD a token, OpenAI's list prices of gpt-4o and gpt-4o-mini: 2.50 and 10.00, 0.15 and 0.60 a million.
BY_HAND = 1200 * Decimal("0.0000025") + 340 * Decimal("0.00001")
BY_CLIENT = provider.INPUT_TOKENS * Decimal("0.00000015") + provider.OUTPUT_TOKENS * Decimal("0.0000006")


def main():
    program, python, node_modules = (pathlib.Path(word).absolute() for word in sys.argv[1:])
    blocks = read()
    installs(blocks)
    with tempfile.TemporaryDirectory() as directory, provider.Provider() as ai:
        place = pathlib.Path(directory)
        release = place / "target" / "release"
        release.mkdir(parents=True)
        (release / "ledgerline").symlink_to(program)
        path = f"{release}{os.pathsep}{os.environ['PATH']}"
        own = {**environment(), "PATH": path, "OPENAI_BASE_URL": ai.url, "OPENAI_API_KEY": "none"}
        with ReadmeServer(blocks, program, place, own) as server:
            reader = Reader(blocks, server, place, own)
            five_minutes(reader)
            python_application(reader, python)
            node_application(reader, node_modules)
            reader.shell("ledgerline keys create")
            expect.holds("README's API keys are made", "gateway" in server.command("keys", "list"))


def read():
    """The code of README.md that is to be run, by what it is known by."""
    found = re.findall(r"^```(\w+)\n(.*?)^```$", README.read_text(), re.M | re.S)
    code = [text for language, text in found if language != "text"]
    blocks = {}
    for text in code:
        names = [name for name in [*KNOWN, *ELSEWHERE] if name in text]
        if len(names) != 1:
            raise SystemExit(f"FAILED: README.md has a block that this check takes for {names}:\n{text}")
        blocks[names[0]] = text
    missing = [name for name in [*KNOWN, *ELSEWHERE] if name not in blocks]
    expect.equal("README has a block for everything that is run here", missing, [])
    return blocks


def installs(blocks):
    """README names what is pinned here for its applications, no more and no less."""
    words = named(blocks["pip install"])
    pinned = [line for line in (PACKAGES / "readme.in").read_text().split("\n") if line and not line.startswith("#")]
    expect.equal("README's pip install is what is installed", sorted(words), sorted(pinned))
    words = named(blocks["npm install"])
    manifest = json.loads((PACKAGES / "node" / "package.json").read_text())
    names = [re.sub(r"(?<=.)@\d+$", "", word) for word in words]
    expect.equal("README's npm install is what is installed", sorted(names), sorted(manifest["dependencies"]))
    majors = {word for word in words if re.search(r".@\d+$", word)}
    asked = {f"{name}@{version.lstrip('^').split('.')[0]}" for name, version in manifest["dependencies"].items()}
    expect.holds("in the major versions it asks for", majors <= asked, majors - asked)


def named(install):
    """The packages of an install command, which may stand on several lines."""
    return shlex.split(install.replace("\\\n", " "))[2:]


class ReadmeServer(Server):
    """README's own `serve` line, with free ports from its environment."""

    def __init__(self, blocks, program, place, own):
        super().__init__(program, place / "ledgerline-data")
        self.line, self.place = shlex.split(blocks["ledgerline serve --data-dir"]), place
        keys = ("OTLP_GRPC_ADDR", "OTLP_HTTP_ADDR", "ADMIN_ADDR", "CLICKHOUSE_ADDR")
        self.own = {**own, **{f"LEDGERLINE_{key}": "127.0.0.1:0" for key in keys}}

    def __enter__(self):
        self.start(self.line, self.own, self.place)
        return self


class Reader:
    """Somebody who follows README.md in a directory."""

    def __init__(self, blocks, server, place, own):
        self.server, self.place, self.own = server, place, own
        addresses = {"127.0.0.1:4317": "otlp_grpc", "127.0.0.1:4318": "otlp_http"}
        self.blocks = {}
        for name, text in blocks.items():
            for default, key in addresses.items():
                text = text.replace(default, server.address[key])
            self.blocks[name] = text

    def shell(self, name, directory=None):
        return self.run(["bash", "-euo", "pipefail", "-c", self.blocks[name]], name, directory)

    def run(self, line, name, directory=None):
        """Standard output; a failure, or a complaint on standard error, ends the check."""
        ended = subprocess.run(
            line, cwd=directory or self.place, env=self.own, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=BLOCK_WITHIN_S,
        )  # fmt: skip
        if ended.returncode != 0 or ended.stderr:
            raise SystemExit(f"FAILED: README's {name!r} ended with {ended.returncode}\n{ended.stdout}{ended.stderr}")
        return ended.stdout

    def calls(self, model):
        """How many calls of a model acme's search has, and their cost."""
        month = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m")
        rows = self.server.usage("--month", month, "--by", "tenant,feature,model")
        rows = [row for row in rows if row["model"] == model]
        where = {(row["tenant"], row["feature"]) for row in rows}
        expect.holds(f"every call of {model} is acme's search", where <= {("acme", "search")}, where)
        return sum(row["calls"] for row in rows), sum(Decimal(row["cost"]) for row in rows)


def five_minutes(reader):
    for _ in range(2):
        reader.shell("curl -sS")
    said = reader.shell("$ledgerline settle")
    expect.equal("README's span is one call, sent twice", reader.calls("gpt-4o"), (1, BY_HAND))
    for word in ("acme", "search", "0.006400000000 USD", "everything holds"):
        expect.holds(f"README's commands show {word}", word in said, said)
    invoices = sorted(file.name for file in (reader.place / "invoices").iterdir())
    expect.holds("README's export writes acme's invoice", any("-acme.csv" in name for name in invoices), invoices)


def python_application(reader, python):
    reader.run([python, "-c", reader.blocks["OpenAIInstrumentor()"]], "Python")
    expect.equal("README's Python application is billed", reader.calls(provider.MODEL), (1, BY_CLIENT))


def node_application(reader, node_modules):
    directory = reader.place / "node"
    directory.mkdir()
    (directory / "node_modules").symlink_to(node_modules / "node_modules")
    for name in ("telemetry.mjs", "app.mjs"):
        (directory / name).write_text(reader.blocks[f"// {name}"])
    reader.shell("node --import", directory)
    expect.equal("README's Node application is billed", reader.calls(provider.MODEL), (2, 2 * BY_CLIENT))


main()
