#!/usr/bin/env python3
"""Folds a recorded commit log with nothing but Python and msgpack, by what PROTOCOL.md says of it (sections 3, 4 and 7).

Usage: fold_log.py <folder>     with log.jsonl and chunks.jsonl: lines of {"seq": ..., "data": base64}
Prints {"hash", "fields", "n", "kinds"} as JSON; exits 3 with a code where the log must be refused.
"""
import base64
import hashlib
import json
import os
import struct
import sys
import zlib

import msgpack

VERSION = 1


class Refused(Exception):
    def __init__(self, code, message):
        super().__init__(f"{code}: {message}")


class BigInt(int):
    """Extension 1: a whole number of any size, as JavaScript's bigint."""


class JsMap:
    """Extension 2: keys and values by turns."""
    def __init__(self, items):
        self.items = items


class JsSet:
    """Extension 3."""
    def __init__(self, items):
        self.items = items


def extension(code, data):
    if code == 1:
        return BigInt(int.from_bytes(data, "big", signed=True))
    if code in (2, 3):
        return (JsMap if code == 2 else JsSet)(decode(data))
    raise Refused("BYTES_REFUSED", f"extension {code} is not let in")


def decode(data):
    try:
        return msgpack.unpackb(data, raw=False, ext_hook=extension, strict_map_key=True)
    except (ValueError, msgpack.exceptions.UnpackException) as error:
        raise Refused("BYTES_REFUSED", str(error)) from error


def canonical(value):
    """A value as bytes that are the same in every language."""
    def sized(letter, count, *rest):
        return letter + struct.pack(">I", count) + b"".join(rest)

    def text(letter, string):
        data = string.encode("utf-8")
        return sized(letter, len(data), data)

    if value is None:
        return b"z"
    if isinstance(value, bool):
        return b"t" if value else b"f"
    if isinstance(value, BigInt):
        return text(b"i", str(int(value)))
    if isinstance(value, (int, float)):
        return b"n" + struct.pack(">d", float(value))
    if isinstance(value, str):
        return text(b"s", value)
    if isinstance(value, bytes):
        return sized(b"b", len(value), value)
    if isinstance(value, msgpack.Timestamp):
        return b"d" + struct.pack(">d", float(value.seconds * 1000 + value.nanoseconds // 1_000_000))
    if isinstance(value, JsMap):
        return sized(b"m", len(value.items) // 2, *map(canonical, value.items))
    if isinstance(value, JsSet):
        return sized(b"e", len(value.items), *map(canonical, value.items))
    if isinstance(value, (list, tuple)):
        return sized(b"a", len(value), *map(canonical, value))
    pairs = sorted((name.encode("utf-8"), name, item) for name, item in value.items()) if value else []
    return sized(b"o", len(pairs), *(part for _, name, item in pairs for part in (canonical(name), canonical(item))))


def read_double(data):
    """8 bytes that sort as the numbers do."""
    raw = bytearray(data)
    if raw[0] & 0x80:
        raw[0] &= 0x7F
    else:
        raw = bytearray(~byte & 0xFF for byte in raw)
    return struct.unpack(">d", bytes(raw))[0]


def read_state_key(key):
    """`s`, operator, key (1: number, 2: text in which 0 is 0 255, ended by 0 0), part."""
    operator, at = key[1], 3
    if key[2] == 1:
        name, at = read_double(key[3:11]), 11
    else:
        letters = bytearray()
        while not (key[at] == 0 and key[at + 1] == 0):
            letters.append(key[at])
            at += 2 if key[at] == 0 else 1
        name, at = letters.decode("utf-8"), at + 2
    return operator, name, (read_double(key[at:at + 8]) if at < len(key) else None)


def unsealed(value):
    if zlib.crc32(value[4:]) != struct.unpack(">I", value[:4])[0]:
        raise Refused("JOURNAL_BROKEN", "an entry does not fit its CRC")
    return decode(value[4:])


def records_of(messages):
    """The chain, checked (P1), and parts put together (P6): kind, n, term, body."""
    parts, expected, before = [], None, None
    for seq, data in messages:
        record = decode(data)
        if not isinstance(record, list) or not record or not isinstance(record[0], int):
            raise Refused("BYTES_REFUSED", "a message is no record")
        if record[0] > VERSION:
            raise Refused("RECORD_NEWER", f"version {record[0]}")
        _, kind, n, term, previous, _code, body = record
        if expected is not None and n != expected:
            raise Refused("BROKER_WENT_BACK", f"record {expected} is missing")
        if before is not None and previous != before:
            raise Refused("BROKER_WENT_BACK", f"record {n} extends {previous}, not {before}")
        expected, before = n + 1, seq
        if kind != "part":
            parts = []
            yield kind, n, term, body
            continue
        part = body["part"]
        if part["index"] == 0:
            parts = []
        if part["index"] != len(parts):
            parts = []
            continue
        parts.append(part["bytes"])
        if len(parts) == part["count"]:
            _, kind, n, term, _previous, _code, body = decode(b"".join(parts))
            parts = []
            yield kind, n, term, body


class Fold:
    def __init__(self):
        self.fields = {}
        self.sent, self.settled, self.out = {}, {}, {}
        self.put(("own",), {"watermark": None, "ended": False, "caught": False})
        self.put(("counts",), {"in": 0, "out": 0, "late": 0, "deadLetters": 0})
        self.put(("tries",), {"k": 0, "events": []})

    def put(self, name, value):
        self.fields[canonical(name)] = (name[0], value)

    def drop(self, name):
        self.fields.pop(canonical(name), None)

    def apply(self, body, term):
        for row in body.get("inputs", []):
            self.put(("input", row[0]), row[1:])
        for row in body.get("cursors", []):
            self.put(("cursor", *row[:3]), row[3:])
        for row in body.get("channels", []):
            self.put(("channel", *row[:3]), row[3:])
        for name in ("own", "counts", "sink", "tries"):
            if name in body:
                self.put((name,), body[name])
        for row in body.get("source", []):
            self.put(("source", row[0]), row[1:])
        for row in body.get("state", []):
            operator, version, key, part = row[:4]
            if len(row) == 5:
                self.put(("state", operator, key, part), [version, row[4]])
            else:
                self.drop(("state", operator, key, part))
        for row in body.get("timers", []):
            if len(row) > 3:
                self.put(("timer", *row[:3]), row[3:])
            else:
                self.drop(("timer", *row[:3]))
        for name in ("waiting", "held"):
            for row in body.get(name, []):
                if len(row) > 1:
                    self.put((name, row[0]), row[1])
                else:
                    self.drop((name, row[0]))
        for target, seq, its in body.get("sent", []):
            self.sent[canonical(target)] = (target, seq, its)
        for target, seq, _frame in body.get("out", []):
            self.sent[canonical(target)] = (target, seq, term)
        for target, seq, at in body.get("settled", []):
            self.settled[canonical(target)] = (target, seq, at)

    def entry(self, key, value):
        letter = chr(key[0])
        if value is None:
            # A delta names what was removed, too.
            if letter == "s":
                self.drop(("state", *read_state_key(key)))
            elif letter == "w":
                self.drop(("waiting", key[1:].decode("utf-8")))
            elif letter == "o":
                self.drop(("held", key))
            elif letter == "t":
                self.drop(("timer", *read_timer_key(key)))
            return
        value = unsealed(value)
        if letter == "s":
            self.put(("state", *read_state_key(key)), value)
        elif letter == "t":
            self.put(("timer", *value[:3]), value[3:])
        elif letter == "w":
            self.put(("waiting", key[1:].decode("utf-8")), value[1:])
        elif letter == "o":
            self.put(("held", key), value)

    def add_sending(self):
        for target, seq, term in self.sent.values():
            self.put(("sent", target), [seq, term])
        for target, seq, at in self.settled.values():
            self.put(("settled", target), [seq, at])
        for name, (target, seq, frame) in self.out.items():
            if seq > self.settled.get(name[0], (None, 0, 0))[1]:
                self.put(("out", target, seq), frame)

    def hash(self):
        digest = hashlib.sha256()
        for name in sorted(self.fields):
            digest.update(name + canonical(self.fields[name][1]))
        return digest.hexdigest()


def read_timer_key(key):
    """As a key of state without a part, and the name after it."""
    operator, at = key[1], 3
    if key[2] == 1:
        return operator, read_double(key[3:11]), key[11:].decode("utf-8")
    letters = bytearray()
    while not (key[at] == 0 and key[at + 1] == 0):
        letters.append(key[at])
        at += 2 if key[at] == 0 else 1
    return operator, letters.decode("utf-8"), key[at + 2:].decode("utf-8")


def fold(log, chunks):
    records, kinds = list(records_of(log)), {}
    for kind, *_ in records:
        kinds[kind] = kinds.get(kind, 0) + 1
    state, begin = Fold(), 0
    snapshots = [body for kind, _n, _term, body in records if kind == "snapshot"]
    if snapshots:
        newest = snapshots[-1]
        as_of, begin = newest["snapshot"], newest["snapshot"]["n"]
        for key, value in as_of.get("entries") or []:
            state.entry(key, value)
        pieces = b""
        for seq, crc, count in as_of["chunks"]:
            if seq not in chunks or zlib.crc32(chunks[seq]) != crc:
                raise Refused("BROKER_WENT_BACK", f"chunk {seq} is missing")
            pieces += chunks[seq]
            if count == 0:  # the next one goes on with it
                continue
            for key, value in decode(pieces):
                state.entry(key, value)
            pieces = b""
        state.apply(newest, None)
    for kind, n, term, body in records:
        if n > begin and kind != "snapshot":
            state.apply(body, term)
        for target, seq, frame in body.get("out", []):
            state.out[(canonical(target), seq)] = (target, seq, frame)
    state.add_sending()
    fields = {}
    for kind, _ in state.fields.values():
        fields[kind] = fields.get(kind, 0) + 1
    return {"hash": state.hash(), "fields": fields, "n": decode(log[-1][1])[2], "kinds": kinds}


def messages_in(path):
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as file:
        return [(line["seq"], base64.b64decode(line["data"])) for line in map(json.loads, file)]


if __name__ == "__main__":
    folder = sys.argv[1]
    try:
        print(json.dumps(fold(messages_in(os.path.join(folder, "log.jsonl")), dict(messages_in(os.path.join(folder, "chunks.jsonl"))))))
    except Refused as refused:
        print(refused, file=sys.stderr)
        sys.exit(3)
