"""The requests that Grafana's ClickHouse data source makes over HTTP, byte for byte what its client asks for.

The data source speaks through clickhouse-go: POST, the statement as the body, `default_format=Native` with a protocol
revision, `Accept-Encoding: gzip` (it takes an answer packed or not), basic authentication where a user is configured,
and `max_execution_time`: what is left of its 60 s and 5 s more. No session and no query id. It cancels by closing the
connection. What it asks is in its source: the greeting and the ping of a connection, the lists of databases, tables, columns and
functions of its editor, and the statements of the panels, which a test of the dashboards runs as well.

Expects the calls that `python_sdk` sent.
"""

import base64
import gzip
import http.client
import json
import pathlib
import re
import time
import urllib.parse
from decimal import Decimal

import expect
import native
from server import OWNER

DASHBOARDS = pathlib.Path(__file__).parents[2] / "dashboards"
REVISION = 54460
SETTINGS = {"default_format": "Native", "client_protocol_version": REVISION, "max_execution_time": 65}
EDITOR = [
    "SHOW DATABASES",
    "SHOW TABLES FROM \"ledgerline\"",
    "DESC TABLE \"ledgerline\".\"ledger\"",
    "SELECT database, name FROM system.tables ORDER BY database, name",
    "SELECT database, table, name, type, comment FROM system.columns WHERE (database, table) IN (('ledgerline', 'ledger')) "
    "ORDER BY database, table, position",
    "SELECT name, type, table FROM system.columns WHERE database IN ('ledgerline')",
    "SELECT name, is_aggregate, case_insensitive, alias_to, origin, description, syntax, arguments, returned_value, "
    "examples, categories FROM system.functions",
    "select distinct model from ledgerline.ledger limit 1000",
    "SELECT version()",
    "SELECT currentDatabase()",
    "SELECT value FROM system.settings WHERE name='readonly'",
    "EXPLAIN AST SELECT tenant FROM ledger",
]  # fmt: skip


class Grafana:
    """A data source of Grafana, with a user or as the reader that the provisioned one is."""

    def __init__(self, server, user=None, password=None, **settings):
        self.address = server.clickhouse
        self.settings = {"database": "ledgerline", **SETTINGS, **settings}
        self.headers = {"User-Agent": "grafana/12.2.0 clickhouse-datasource/4.11.1 clickhouse-go/2.40.3", "Accept-Encoding": "gzip"}
        if user:
            self.headers["Authorization"] = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    def send(self, sql, **more):
        connection = http.client.HTTPConnection(*self.address, timeout=60)
        path = "/?" + urllib.parse.urlencode({**self.settings, **more})
        connection.request("POST", path, sql.encode(), self.headers)
        return connection

    def ask(self, sql, **more):
        """Status, headers and the unpacked body."""
        connection = self.send(sql, **more)
        response = connection.getresponse()
        body = response.read()
        connection.close()
        if response.headers["Content-Encoding"] == "gzip":
            body = gzip.decompress(body)
        return response.status, response.headers, body

    def rows(self, sql, **more):
        status, _, body = self.ask(sql, **more)
        if status != 200:
            raise SystemExit(f"FAILED: {sql!r} was answered with {status}: {body.decode(errors='replace')}")
        return native.rows(body)


def check(server):
    reader, owner = Grafana(server), Grafana(server, OWNER, server.password)
    for who, source in {"reader": reader, "owner": owner}.items():
        connect(who, source)
        for sql in EDITOR:
            names, types, found = source.rows(sql)
            expect.holds(f"grafana, {who}: {sql[:70]}", found and len(names) == len(types), found[:2])
    failures(server, reader)
    panels(reader)
    closing(server, owner)


def connect(who, source):
    hello = source.rows("SELECT displayName(), version(), revision(), timezone()")
    expect.equal(f"grafana, {who}: the greeting", hello[1], ["String", "String", "UInt32", "String"])
    expect.holds("with one row", len(hello[2]) == 1 and hello[2][0][2] >= REVISION, hello)
    expect.equal(f"grafana, {who}: the ping", source.rows("SELECT 1"), (["1"], ["UInt8"], [(1,)]))
    packed = source.ask("SELECT number FROM numbers(100000)", enable_http_compression=1)
    expect.equal("an answer is packed where a setting asks for it", packed[1]["Content-Encoding"], "gzip")
    expect.equal("and whole", native.rows(packed[2])[2], [(number,) for number in range(100000)])
    none = source.rows("SELECT tenant FROM ledger WHERE 0")
    expect.equal("no rows are no failure", none[2], [])


def failures(server, reader):
    status, _, body = reader.ask("SELECT * FROM nothing")
    expect.holds("grafana: an error has its text", status == 404 and body.startswith(b"Code: 60. DB::Exception"), body)
    status, _, body = Grafana(server, OWNER, "wrong").ask("SELECT 1")
    expect.holds("grafana: a wrong password is refused", status == 403 and b"Code: 516." in body, body)
    status, _, body = reader.ask("INSERT INTO ledger (tenant) VALUES ('x')")
    expect.holds("grafana: the reader does not write", b"Code: 164." in body, body)
    # Its ad hoc filters and its lists of values put settings into the statement, which `readonly` refuses on any server.
    status, _, body = reader.ask("SELECT DISTINCT tenant FROM ledgerline.ledger SETTINGS max_execution_time=10")
    expect.holds("grafana: nor does it set anything in a statement", b"Code: 164." in body, body)


def panels(reader):
    """Every statement of the dashboard, filtered as Grafana filters, and what the charts add up to."""
    dashboard = json.loads((DASHBOARDS / "spend.json").read_text())
    lists = {one["name"]: one["query"] for one in dashboard["templating"]["list"] if one["type"] == "query"}
    chosen = {name: [row[0] for row in reader.rows(fill(sql, {}))[2]] for name, sql in lists.items()}
    total = reader.rows("SELECT sum(cost) FROM ledger")[2][0][0]
    expect.holds("grafana: there is something to draw", total > 0 and all(chosen.values()), chosen)
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            names, types, found = reader.rows(fill(target["rawSql"], chosen))
            expect.holds(f"grafana: panel {panel['title']}", found, names)
            if "cost" in names:
                cost = sum(Decimal(row[names.index("cost")]) for row in found)
                expect.equal(f"adds up to the ledger, as {types[names.index('cost')]}", cost, total)


def fill(sql, chosen):
    """A statement with the data source's macros and the dashboard's variables replaced, for the last hour."""
    now = int(time.time())
    start, end = f"toDateTime({now - 3600})", f"toDateTime({now + 60})"
    sql = re.sub(r"\$__timeFilter\(([^)]*)\)", rf"\1 >= {start} AND \1 <= {end}", sql)
    sql = re.sub(r"\$__timeInterval\(([^)]*)\)", r"toStartOfInterval(toDateTime(\1), INTERVAL 60 second)", sql)
    sql = sql.replace("$__fromTime", start).replace("$__toTime", end)
    for name, values in chosen.items():
        quoted = ",".join("'" + value.replace("'", "\\'") + "'" for value in values)
        sql = sql.replace(f"${{{name}:singlequote}}", quoted)
    return sql


def closing(server, owner):
    """A panel that is left: its connection is closed, and its statement must stop."""
    watch = "SELECT count() FROM system.processes WHERE query LIKE '%AS left_panel%' AND query NOT LIKE '%processes%'"

    def running():
        return owner.rows(watch)[2][0][0]

    for source in (owner, Grafana(server)):
        connection = source.send("SELECT count() AS left_panel FROM system.numbers WHERE NOT ignore(number)")
        expect.until("grafana: a slow panel runs", lambda: running() == 1)
        connection.close()
        expect.until("and stops when it is left", lambda: running() == 0)
