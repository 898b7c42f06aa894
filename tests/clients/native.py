"""Reads the blocks of ClickHouse's native format as a client of a protocol revision gets them.

Only what Grafana's own questions need: block info, column headers, strings, integers, dates, decimals, and
`LowCardinality`, `Nullable`, `Array` and `Map` of such. What it does not know fails the check.
"""

import re
import struct
from decimal import Decimal

FIXED = {
    "UInt8": "B", "UInt16": "H", "UInt32": "I", "UInt64": "Q", "Int8": "b", "Int16": "h", "Int32": "i", "Int64": "q",
    "Enum8": "b", "Float64": "d", "Date": "H", "DateTime": "I", "DateTime64": "q", "Bool": "?",
}  # fmt: skip
DECIMAL_BYTES = ((9, 4), (18, 8), (38, 16), (76, 32))


def rows(body):
    """Names, types and rows of a whole answer. No bytes are no rows, and then no names either."""
    cursor, names, types, found = Cursor(body), [], [], []
    while cursor.left():
        cursor.block_info()
        columns, count = cursor.varint(), cursor.varint()
        names, types, values = [], [], []
        for _ in range(columns):
            names.append(cursor.text())
            types.append(cursor.text())
            if cursor.take(1) != b"\0":
                raise SystemExit(f"column {names[-1]} has a serialization of its own, which no client asked for")
            values.append(cursor.column(types[-1], count) if count else [])
        found += zip(*values)
    return names, types, found


class Cursor:
    def __init__(self, body):
        self.body, self.at = body, 0

    def left(self):
        return len(self.body) - self.at

    def take(self, size):
        if self.left() < size:
            raise SystemExit(f"the answer ends {size - self.left()} bytes too early")
        self.at += size
        return self.body[self.at - size : self.at]

    def varint(self):
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def text(self):
        return self.take(self.varint()).decode()

    def numbers(self, code, count):
        return list(struct.unpack(f"<{count}{code}", self.take(count * struct.calcsize(f"<{code}"))))

    def block_info(self):
        # Field 1, overflows: no. Field 2, bucket: -1. End.
        if self.take(8) != b"\1\0\2\xff\xff\xff\xff\0":
            raise SystemExit("a block does not begin with its info")

    def column(self, kind, count):
        """The values of a column, after the prefix that dictionaries have."""
        self.prefix(kind)
        return self.values(kind, count)

    def prefix(self, kind):
        name, inner = split(kind)
        if name == "LowCardinality" and self.numbers("Q", 1) != [1]:
            raise SystemExit(f"{kind} comes in an unknown version")
        if name in ("Array", "Map", "Nullable"):
            for part in inner:
                self.prefix(part)

    def values(self, kind, count):
        name, inner = split(kind)
        if name == "String":
            return [self.text() for _ in range(count)]
        if name == "Nullable":
            nulls = self.take(count)
            return [None if null else value for null, value in zip(nulls, self.values(inner[0], count))]
        if name == "LowCardinality":
            return self.dictionary(inner[0], count)
        if name in ("Array", "Map"):
            return self.lists(name, inner, count)
        if name == "Decimal":
            digits, scale = (int(part) for part in inner)
            size = next(size for most, size in DECIMAL_BYTES if digits <= most)
            whole = [int.from_bytes(self.take(size), "little", signed=True) for _ in range(count)]
            return [Decimal(value).scaleb(-scale) for value in whole]
        if name in FIXED:
            return self.numbers(FIXED[name], count)
        raise SystemExit(f"the check cannot read {kind}")

    def lists(self, name, inner, count):
        ends = self.numbers("Q", count)
        parts = [self.values(part, ends[-1] if ends else 0) for part in inner]
        entries = list(zip(*parts)) if name == "Map" else parts[0]
        lists = [entries[start:end] for start, end in zip([0, *ends], ends)]
        return [dict(entries) for entries in lists] if name == "Map" else lists

    def dictionary(self, kind, count):
        (flags,) = self.numbers("Q", 1)
        kind = kind.removeprefix("Nullable(").removesuffix(")") if kind.startswith("Nullable(") else kind
        keys = self.values(kind, self.numbers("Q", 1)[0])
        if self.numbers("Q", 1) != [count]:
            raise SystemExit("a dictionary has another length than its block")
        return [keys[index] for index in self.numbers("BHIQ"[flags & 255], count)]


def split(kind):
    """`Map(String, Array(X))` is `Map` and its parts."""
    match = re.fullmatch(r"(\w+)(?:\((.*)\))?", kind, re.S)
    name, inside = match[1], match[2] or ""
    parts, depth = [""], 0
    for character in inside:
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return name, [part.strip() for part in parts if part]
