"""clickhouse-connect, the official ClickHouse client for Python, as the owner and as the reader of the embedded engine.

Expects the calls that `python_sdk` sent. Promises: types, packing, parameters, settings, sessions, streams and errors
are a server's; the reader reads the ledger to the last digit and changes nothing; a client that leaves, or says
`KILL QUERY` with the id it gave, stops its statement.
"""

import logging
import re
import threading
from datetime import datetime, timezone
from decimal import Decimal
from uuid import UUID

import clickhouse_connect
from clickhouse_connect.driver.exceptions import ClickHouseError

import expect
from server import OWNER

DATABASE = "python_check"
COLUMNS = {
    "key": "UInt128",
    "id": "UUID",
    "amount": "Decimal(38, 12)",
    "at": "DateTime64(6, 'UTC')",
    "tenant": "LowCardinality(String)",
    "tags": "Map(String, String)",
    "note": "Nullable(String)",
    "numbers": "Array(UInt64)",
    "pair": "Tuple(a UInt8, b String)",
}
AT = datetime(2026, 10, 1, 12, 30, 15, 123456, tzinfo=timezone.utc)
AWKWARD = "it's \\ a \t; DROP"


def check(server):
    # It logs failures besides raising them, and failures are wanted here.
    logging.getLogger("clickhouse_connect").setLevel(logging.CRITICAL)
    host, port = server.clickhouse

    def owner(**more):
        options = {"database": DATABASE, "username": OWNER, "password": server.password, **more}
        return clickhouse_connect.get_client(host=host, port=port, **options)

    owner(database="ledgerline").command(f"CREATE DATABASE {DATABASE} ENGINE = Atomic")
    types(owner())
    packing(owner)
    statements(owner())
    sessions(owner)
    fails(516, "a wrong password is refused", lambda: owner(password="wrong"))
    reader(clickhouse_connect.get_client(host=host, port=port), owner(database="ledgerline"))
    stopping(owner)
    owner(database="ledgerline").command(f"DROP DATABASE {DATABASE}")


def types(owner):
    expect.holds("ping", owner.ping())
    expect.holds("the version is a server's", int(owner.server_version.split(".")[0]) >= 26, owner.server_version)
    columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
    owner.command(f"CREATE TABLE t ({columns}) ENGINE = MergeTree ORDER BY key")
    rows = [
        [2**127 + i, UUID(int=i), Decimal("1234.567890123456") * i, AT, f"tenant {i % 3}", {"k": "v'\n"},
         None if i % 2 else "ünï", list(range(i % 4)), {"a": i % 200, "b": str(i)}]
        for i in range(1000)
    ]  # fmt: skip
    summary = owner.insert("t", rows, column_names=list(COLUMNS))
    expect.equal("an insert says what it wrote", summary.written_rows, 1000)
    result = owner.query("SELECT * FROM t ORDER BY key", query_tz="UTC")
    expect.equal("columns have their names", result.column_names, tuple(COLUMNS))
    found = [[value.replace(tzinfo=timezone.utc) if isinstance(value, datetime) else value for value in row]
             for row in result.result_rows]  # fmt: skip
    expect.holds("values of all types come back", found == rows, f"{found[1]} is not {rows[1]}")


def packing(owner):
    for compression in (False, "lz4", "zstd", "gzip"):
        packed = owner(compress=compression)
        packed.command("CREATE TABLE c (a UInt64, s String) ENGINE = MergeTree ORDER BY a")
        packed.insert("c", [[i, "x" * 50] for i in range(5000)], column_names=["a", "s"])
        answer = packed.query("SELECT sum(a), count(), any(s) FROM c").result_rows
        expect.equal(f"inserts and queries with compress={compression}", answer, [(12497500, 5000, "x" * 50)])
        packed.command("DROP TABLE c SYNC")


def statements(owner):
    parameters = {"text": AWKWARD, "numbers": [1, 2, 3], "day": AT}
    sql = "SELECT {text:String}, arraySum({numbers:Array(UInt8)}), toYear({day:DateTime64(6, 'UTC')})"
    answer = owner.query(sql, parameters=parameters).result_rows
    expect.equal("query parameters", answer, [(AWKWARD, 6, 2026)])
    with owner.query_row_block_stream("SELECT number, toString(number) FROM numbers(500000)") as stream:
        expect.equal("a result in blocks", sum(len(block) for block in stream), 500000)
    frame = owner.raw_query("SELECT number FROM numbers(3)", fmt="JSONEachRow")
    expect.equal("a raw query", frame.count(b"\n"), 3)
    owner.raw_insert("t", ["key"], b"1\n2\n", fmt="CSV")
    expect.equal("a raw insert", owner.command("SELECT count() FROM t"), 1002)
    expect.equal("no rows", owner.query("SELECT * FROM t WHERE key = 3").result_rows, [])
    fails(60, "errors have their number", lambda: owner.query("SELECT * FROM nothing"))
    late = "SELECT throwIf(number = 1000000) FROM numbers(2000000)"
    fails(395, "an error in the middle of a result is seen", lambda: owner.query(late))


def sessions(owner):
    mine, other = owner(), owner()
    answer = mine.query("SELECT getSetting('max_threads')", settings={"max_threads": 3}).result_rows
    expect.equal("settings of one query", answer, [(3,)])
    after = mine.query("SELECT getSetting('max_threads')").result_rows
    expect.holds("are gone with the next", after != [(3,)], after)
    mine.command("CREATE TEMPORARY TABLE mine (a UInt8)")
    mine.insert("mine", [[7]], column_names=["a"])
    expect.equal("a temporary table lives in its session", mine.query("SELECT a FROM mine").result_rows, [(7,)])
    fails(60, "and in no other", lambda: other.query("SELECT a FROM mine"))


def reader(reader, owner):
    sums = "SELECT count(), sum(cost), max(toTypeName(cost)) FROM ledgerline.ledger"
    found = reader.query(sums).result_rows
    expect.equal("the reader reads what the owner reads", found, owner.query(sums).result_rows)
    expect.holds("money arrives as a decimal", isinstance(found[0][1], Decimal) and found[0][1] > 0, found)
    expect.equal("the reader's database is the ledger's", reader.command("SELECT currentDatabase()"), "ledgerline")
    table = reader.query("SELECT * FROM observations LIMIT 3").result_rows
    expect.equal("the reader reads views", len(table), 3)
    fails(164, "but writes nothing", lambda: reader.command("CREATE TABLE ledgerline.x (a UInt8) ENGINE = Memory"))
    fails(164, "kills nothing", lambda: reader.command("KILL QUERY WHERE 1"))
    fails(497, "and reads no files", lambda: reader.query("SELECT file('/etc/passwd')"))


def stopping(owner):
    endless = "SELECT count() FROM system.numbers WHERE NOT ignore(number) SETTINGS log_comment = '{}'"
    watch = owner()

    def running(word):
        sql = "SELECT count() FROM system.processes WHERE query LIKE {text:String} AND query NOT LIKE '%processes%'"
        return watch.query(sql, parameters={"text": f"%{word}%"}).result_rows[0][0]

    impatient = owner(send_receive_timeout=1, query_retries=0)
    try:
        impatient.query(endless.format("left alone"))
        raise SystemExit("FAILED: an endless statement ended")
    except Exception as error:  # noqa: BLE001 - how a client gives up is its own affair
        expect.holds("a client gives up", "timed out" in str(error).lower() or "timeout" in str(error).lower(), error)
    expect.until("and its statement stops", lambda: running("left alone") == 0)

    answer = []
    thread = threading.Thread(target=lambda: answer.append(code_of(lambda: owner().query(
        endless.format("killed by name"), settings={"query_id": "the name it got"}))))  # fmt: skip
    thread.start()
    expect.until("a statement with a name of its own runs", lambda: running("killed by name") == 1)
    watch.command("KILL QUERY WHERE query_id = 'the name it got'")
    thread.join(60)
    expect.equal("KILL QUERY by that name ends it with the error of a server", answer, [394])


def fails(code, what, action):
    expect.equal(what, code_of(action), code)


def code_of(action):
    """The number of the ClickHouse error `action` fails with."""
    try:
        return f"no failure but {action()!r}"
    except ClickHouseError as error:
        number = re.search(r"(?i)code: (\d+)", str(error))
        return int(number[1]) if number else str(error)
