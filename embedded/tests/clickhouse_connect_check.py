"""Checks a running host with the clients of the Python and Go worlds.

Usage: clickhouse_connect_check.py HOST PORT PASSWORD

First clickhouse-connect, as its users use it; then the requests of Grafana's ClickHouse data source over HTTP, which
is clickhouse-go: POST, native blocks, a protocol revision, and errors packed like results. Exits non-zero with the
first check that fails.
"""

import http.client
import struct
import sys
import urllib.parse
from datetime import datetime, timezone
from decimal import Decimal
from uuid import UUID

import clickhouse_connect
import lz4.block
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError

HOST, PORT, PASSWORD = sys.argv[1], int(sys.argv[2]), sys.argv[3]
OWNER = "ledgerline"
DATABASE = "python_check"


def check(name, condition, detail=""):
    if not condition:
        sys.exit(f"FAILED: {name} {detail}")
    print(f"ok: {name}")


def fails_with(name, code, function):
    try:
        result = function()
    except ClickHouseError as error:
        check(name, f"code: {code}" in str(error).lower(), str(error))
        return
    sys.exit(f"FAILED: {name} was answered with {result!r}")


def client(**more):
    return clickhouse_connect.get_client(host=HOST, port=PORT, username=OWNER, password=PASSWORD, **more)


def owner_checks():
    maker = client()
    maker.command(f"DROP DATABASE IF EXISTS {DATABASE}")
    maker.command(f"CREATE DATABASE {DATABASE} ENGINE = Atomic")
    maker.command("CREATE DATABASE IF NOT EXISTS ledgerline ENGINE = Atomic")
    owner = client(database=DATABASE)
    check("ping", owner.ping())
    check("version", owner.server_version.startswith("26."), owner.server_version)
    check("no time zone surprise", owner.command("SELECT 1 + 1") == 2)

    owner.command(
        "CREATE TABLE t (key UInt128, id UUID, amount Decimal(38, 12), at DateTime64(6, 'UTC'), tenant "
        "LowCardinality(String), tags Map(String, String), note Nullable(String), numbers Array(UInt64), "
        "pair Tuple(a UInt8, b String)) ENGINE = MergeTree ORDER BY key"
    )
    at = datetime(2026, 10, 1, 12, 30, 15, 123456, tzinfo=timezone.utc)
    rows = [
        [2**127 + i, UUID(int=i), Decimal("1234.567890123456") * i, at, f"tenant {i % 3}", {"k": "v'\n"},
         None if i % 2 else "ünï", list(range(i % 4)), (i % 200, str(i))]
        for i in range(1000)
    ]
    names = ["key", "id", "amount", "at", "tenant", "tags", "note", "numbers", "pair"]
    summary = owner.insert("t", rows, column_names=names)
    check("insert says what it wrote", summary.written_rows == 1000, summary.written_rows)
    result = owner.query("SELECT * FROM t ORDER BY key")
    found = [list(row) for row in result.result_rows]
    for row in found:
        row[3] = row[3].replace(tzinfo=timezone.utc)
        row[8] = tuple(row[8].values()) if isinstance(row[8], dict) else row[8]
    check("all types come back", found == rows, f"{found[1]} != {rows[1]}")
    check("column names", result.column_names == tuple(names))

    for compression in (False, "lz4", "zstd", "gzip"):
        packed = client(database=DATABASE, compress=compression)
        packed.command("CREATE TABLE c (a UInt64, s String) ENGINE = MergeTree ORDER BY a")
        packed.insert("c", [[i, "x" * 50] for i in range(5000)], column_names=["a", "s"])
        answer = packed.query("SELECT sum(a), count(), any(s) FROM c").result_rows
        check(f"insert and query with compress={compression}", answer == [(12497500, 5000, "x" * 50)], answer)
        packed.command("DROP TABLE c")

    parameters = {"text": "it's \\ a \t; DROP", "numbers": [1, 2, 3], "day": at}
    answer = owner.query(
        "SELECT {text:String}, arraySum({numbers:Array(UInt8)}), toYear({day:DateTime64(6, 'UTC')})", parameters=parameters
    )
    check("query parameters", answer.result_rows == [("it's \\ a \t; DROP", 6, 2026)], answer.result_rows)

    with owner.query_row_block_stream("SELECT number, toString(number) FROM numbers(500000)") as stream:
        streamed = sum(len(block) for block in stream)
    check("streaming", streamed == 500000, streamed)

    answer = owner.query("SELECT getSetting('max_threads')", settings={"max_threads": 3}).result_rows
    check("settings of one query", answer == [(3,)], answer)
    after = owner.query("SELECT getSetting('max_threads')").result_rows
    check("are gone with the next", after != [(3,)], after)

    owner.command("CREATE TEMPORARY TABLE mine (a UInt8)")
    owner.insert("mine", [[7]], column_names=["a"])
    check("temporary tables live in the session", owner.query("SELECT a FROM mine").result_rows == [(7,)])
    other = client(database=DATABASE)
    fails_with("and in no other", 60, lambda: other.query("SELECT a FROM mine"))

    frame = owner.raw_query("SELECT number FROM numbers(3)", fmt="JSONEachRow")
    check("raw query", frame.count(b"\n") == 3, frame)
    owner.raw_insert("t", ["key"], b"1\n2\n", fmt="CSV")
    check("raw insert", owner.command("SELECT count() FROM t") == 1002)
    fails_with("errors have their number", 60, lambda: owner.query("SELECT * FROM nothing"))
    fails_with("errors in the middle of a result are seen", 395,
               lambda: owner.query("SELECT throwIf(number = 1000000) FROM numbers(2000000)"))
    fails_with("a wrong password is refused", 516,
               lambda: clickhouse_connect.get_client(host=HOST, port=PORT, username=OWNER, password="wrong"))


def reader_checks():
    reader = clickhouse_connect.get_client(host=HOST, port=PORT)
    check("a client without credentials reads", reader.query("SELECT 1").result_rows == [(1,)])
    fails_with("but does not write", 164, lambda: reader.command("CREATE TABLE ledgerline.x (a UInt8) ENGINE = Memory"))
    fails_with("and reads no files", 497, lambda: reader.query("SELECT file('/etc/passwd')"))


def go_request(query, headers=None, **settings):
    """A request as clickhouse-go makes it."""
    url = {"default_format": "Native", "client_protocol_version": "54460", "compress": "1", "wait_end_of_query": "1",
           "max_execution_time": "60", **settings}
    connection = http.client.HTTPConnection(HOST, PORT)
    connection.request("POST", "/?" + urllib.parse.urlencode(url), query, headers or {})
    response = connection.getresponse()
    body = unblock(response.read())
    connection.close()
    return response, body


def unblock(packed):
    raw = b""
    while packed:
        method, size, raw_size = struct.unpack("<BII", packed[16:25])
        check_quiet(method == 0x82, "blocks are lz4")
        raw += lz4.block.decompress(packed[25:16 + size], uncompressed_size=raw_size)
        packed = packed[16 + size:]
    return raw


def check_quiet(condition, name):
    if not condition:
        sys.exit(f"FAILED: {name}")


BLOCK_INFO = bytes([1, 0, 2, 0xFF, 0xFF, 0xFF, 0xFF, 0])


def text(value):
    value = value.encode()
    return bytes([len(value)]) + value


def grafana_checks():
    response, body = go_request("SELECT 1")
    check("go: SELECT 1", response.status == 200 and body == BLOCK_INFO + b"\x01\x01\x011\x05UInt8\x00\x01", body)
    response, body = go_request("SELECT displayName(), version(), revision(), timezone()")
    expected = BLOCK_INFO + b"\x04\x01" + text("displayName()") + text("String") + b"\x00"
    check("go: hello", response.status == 200 and body.startswith(expected) and text("UInt32") + b"\x00" in body, body)
    owner = {"X-ClickHouse-User": OWNER, "X-ClickHouse-Key": PASSWORD}
    response, body = go_request("SELECT key, tags, tenant, note FROM t ORDER BY key DESC LIMIT 10", owner, database=DATABASE)
    check("go: dictionaries, maps and nulls", response.status == 200 and body.startswith(BLOCK_INFO + b"\x04\x0a"), body[:80])
    for query in ("SELECT name FROM system.databases", "SELECT name FROM system.tables WHERE database = 'ledgerline'",
                  "SELECT name, type FROM system.columns LIMIT 3", "SHOW TABLES", "EXPLAIN SELECT 1"):
        response, body = go_request(query)
        check(f"go: {query}", response.status == 200 and (not body or body.startswith(BLOCK_INFO)), body)
    response, body = go_request("SELECT * FROM nothing")
    check("go: errors are packed too", response.status == 404 and body.startswith(b"Code: 60."), body)
    response, body = go_request("SELECT 1", {"X-ClickHouse-User": OWNER, "X-ClickHouse-Key": "wrong"})
    check("go: a wrong password", response.status == 403 and body.startswith(b"Code: 516."), body)
    response, _ = go_request("SELECT toStartOfMinute(now()) AS time, count() FROM system.one GROUP BY time", default_format="Native")
    check("go: a panel's query", response.status == 200)


owner_checks()
reader_checks()
grafana_checks()
print("all checks passed")
