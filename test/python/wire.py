#!/usr/bin/env python3
"""Reads a mailbox message and a commit record with nothing but Python and msgpack, by the fields that PROTOCOL.md names (sections 3 and 4).

Usage: wire.py frame|record <file>     prints the fields by their names, as JSON
"""
import json
import sys

import msgpack


def extension(code, data):
    if code == 1:
        return {"bigint": str(int.from_bytes(data, "big", signed=True))}
    if code in (2, 3):
        items = shown(msgpack.unpackb(data, **strict))
        return {"map": [items[i:i + 2] for i in range(0, len(items), 2)]} if code == 2 else {"set": items}
    raise ValueError(f"extension {code} is none of the format")


# raw=False: every text must be UTF-8; strict_map_key: names of properties are texts.
strict = {"raw": False, "strict_map_key": True, "ext_hook": extension}


def shown(value):
    """A value as JSON can hold it."""
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, msgpack.Timestamp):
        return {"date": value.to_unix_nano() // 1_000_000}
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return {"number": "Infinity" if value > 0 else "-Infinity"}
    if isinstance(value, list):
        return [shown(item) for item in value]
    if isinstance(value, dict):
        return {name: shown(item) for name, item in value.items()}
    return value


def named(names, fields):
    if len(fields) != len(names):
        raise ValueError(f"{len(fields)} fields where {len(names)} are named")
    return dict(zip(names, fields))


def event(row, shapes, types):
    k, time, key, extra, shape, *values = row
    id, type, origin = extra or (None, None, None)
    data = values[0] if shape == -1 else named(shapes[shape], values)
    return {"k": k, "time": time, "key": key, "id": id, "type": None if type is None else types[type], "origin": origin, "data": shown(data)}


def frame(message):
    values = list(unpacked(message))
    if len(values) != 2 or not isinstance(values[0], bytes) or len(values[0]) != 8:
        raise ValueError("a mailbox message is a round of 8 bytes and a frame")
    names = ["version", "from", "generation", "term", "before", "seq", "n", "edge", "watermark", "note", "shapes", "types", "events"]
    fields = named(names, values[1])
    fields["events"] = [event(row, fields["shapes"], fields["types"]) for row in fields["events"]]
    return {"round": values[0].hex(), **{name: value if name == "events" else shown(value) for name, value in fields.items()}}


def record(message):
    values = list(unpacked(message))
    if len(values) != 1:
        raise ValueError("a message of a log is one record")
    fields = named(["version", "kind", "n", "term", "previous", "code", "body"], values[0])
    for sent in fields["body"].get("out", []):
        # A frame stands in the record as it goes out, without a round.
        sent[2] = frame(b"\xc4\x08" + bytes(8) + sent[2])
    return shown(fields)


def unpacked(data):
    unpacker = msgpack.Unpacker(**strict)
    unpacker.feed(data)
    yield from unpacker
    if unpacker.tell() != len(data):
        raise ValueError("bytes are left")


with open(sys.argv[2], "rb") as file:
    print(json.dumps({"frame": frame, "record": record}[sys.argv[1]](file.read())))
