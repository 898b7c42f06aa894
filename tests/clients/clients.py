"""One server, and every client against it, in this order: the later ones read what the first one sent."""

import sys
import tempfile

import grafana
import python_clickhouse
import python_sdk
from server import Server

with tempfile.TemporaryDirectory() as directory, Server(sys.argv[1], f"{directory}/data") as server:
    for client in (python_sdk, python_clickhouse, grafana):
        client.check(server)
