#!/usr/bin/env python3
# Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
"""
Kurier beside other clients, on the real Kafka that KURIER_BOOTSTRAP names: CloudEvents in both modes and both ways,
bare records, and where keys land. Fetches its peers once: Python's cloudevents and confluent-kafka into a venv, Java's
cloudevents-kafka and kafka-clients by Maven.

Each client has a peer with the same two commands; what it is told, and what it tells, is a JSON object a line:
  {"topic", "mode": "plain" | "binary" | "structured", "key", "value", "headers": [{"name", "value"}], "id", "source",
   "type", "subject", "dataschema", "datacontenttype", "time", "extensions": {}, "data", "error"}
with bytes in base64, and nothing where there is null. Where another SDK does otherwise than the specification, or than
one would expect, that stands in ODDITIES, is checked like all else, and is explained in docs/guide/interop.md.
"""

import base64
import copy
import json
import os
import random
import shutil
import subprocess
import sys
import uuid
from datetime import datetime
from pathlib import Path

sys.dont_write_bytecode = True  # what is built stands elsewhere
from peers import CACHE, Unavailable, check, finish, install, java, run_or_say, say, skip

HERE = Path(__file__).resolve().parent
PYTHON_PACKAGES = ["cloudevents==2.2.0", "confluent-kafka==2.16.1"]
KEYS = 3000
PARTITIONS = [1, 3, 6, 16, 100]

# ---- The peers ----


def python_peer():
    # The packages lie in a directory of their own: a venv does not survive its renaming.
    directory = CACHE / ("interop-python-" + "-".join(PYTHON_PACKAGES).replace("==", "-"))

    def make(work):
        say("fetching " + ", ".join(PYTHON_PACKAGES) + " (once)…")
        run_or_say("Python's venv is missing", [sys.executable, "-m", "venv", work / "venv"])
        pip = [work / "venv/bin/pip", "-q", "--disable-pip-version-check", "install", "--target", work / "lib"]
        run_or_say("Python's packages could not be fetched", pip + PYTHON_PACKAGES)
        shutil.rmtree(work / "venv")

    install(directory, make)
    return [sys.executable, str(HERE / "peer.py")], {"PYTHONPATH": str(directory / "lib")}


def java_peer():
    return java(HERE / "java", "Peer", "Java's cloudevents-kafka and kafka-clients"), {}


class Peer:
    def __init__(self, name, command, environment):
        self.name, self.command, self.environment = name, command, {**os.environ, **environment}

    def call(self, *arguments, lines=()):
        text = "".join(json.dumps(line) + "\n" for line in lines)
        result = subprocess.run(self.command + list(arguments), input=text, text=True, stdout=subprocess.PIPE,
                                env=self.environment, timeout=300, encoding="utf-8")
        if result.returncode != 0:
            raise RuntimeError(f"{self.name}'s peer ended with {result.returncode}")
        return [json.loads(line) for line in result.stdout.splitlines()]

    def produce(self, lines):
        places = self.call("produce", BOOTSTRAP, lines=lines)
        if len(places) != len(lines):
            raise RuntimeError(f"{self.name} produced {len(places)} of {len(lines)} records")
        return places

    def consume(self, topic, count):
        return self.call("consume", BOOTSTRAP, topic, str(count))


# ---- Cases ----


def b64(data):
    return base64.b64encode(data if isinstance(data, bytes) else data.encode()).decode()


def event(name, data=b'{"a":1}', **more):
    line = {"id": name, "source": "/interop", "type": "shop.tested.v1", "time": "2026-01-02T03:04:05Z"}
    line.update({"extensions": {}, **more})
    if data is not None:
        line["data"] = b64(data)
        line.setdefault("datacontenttype", "application/json")
    return {key: value for key, value in line.items() if value is not None}


EVENTS = [
    event("object"),
    event("everything", subject="o-1", dataschema="https://example.org/schema", time="2026-01-02T03:04:05.678901Z",
          extensions={"tenant": "acme", "sequence": "00042", "correlationid": "c-1", "causationid": "p-1"}, key=b64("k-1"),
          source="https://example.org/a?b=c#d"),
    event("unicode", data='{"name":"Zoë 😀"}', subject="Zoë 😀", extensions={"tenant": "ünï"}, key=b64("schlüssel-😀")),
    event("nested", data=b'{"a":[1,2.5,-3e2,true,null,{"b":"\\u00e9\\n\\""}]}'),
    event("array", data=b"[1,2,3]"),
    event("string", data=b'"words"'),
    event("number", data=b"17"),
    event("null", data=b"null"),
    event("text", data="Zoë\n", datacontenttype="text/plain; charset=utf-8"),
    event("xml", data=b"<a b='c'/>", datacontenttype="application/xml"),
    event("bytes", data=bytes(range(256)), datacontenttype="application/octet-stream"),
    event("vendor", datacontenttype="application/vnd.shop.order+json"),
    event("without", data=None),
    event("empty", data=b"", datacontenttype="text/plain"),
    event("emptykey", key=b64("")),
    event("binarykey", key=b64(b"\x00\xff\xfe")),
    event("headers", headers=[{"name": "x-raw", "value": b64(b"\x00\xff")}, {"name": "x-twice", "value": b64("1")},
                              {"name": "x-twice", "value": b64("2")}, {"name": "x-ünï", "value": b64("ü")}]),
    event("nullheader", headers=[{"name": "x-null"}]),
]

# What Java's builder would not let through.
ONLY_OURS = [
    event("space", source="/a b", subject=" o-1 "),
]

RECORDS = [
    {"value": b64("v")},
    {"key": b64("k")},
    {"key": b64(""), "value": b64("")},
    {},
    {"key": b64("schlüssel-😀"), "value": b64(bytes(range(256)))},
    {"key": b64(b"\x00\xff"), "value": b64("v"), "headers": [{"name": "a", "value": b64(b"\x00\xff\x00")},
                                                            {"name": "a", "value": b64("")}, {"name": "a"},
                                                            {"name": "ünï-😀", "value": b64("ü")}]},
]

# What differs, by who writes, who reads, and the mode ("*": any), and the event: a change to what is expected, or the
# beginning of the error that the reader gives.
ODDITIES = {
    ("*", "python", "*", "*"): lambda line: with_key_as_extension(line),
    ("*", "python", "*", "binarykey"): "UnicodeDecodeError",
    ("*", "python", "binary", "headers"): "UnicodeDecodeError",
    ("*", "python", "binary", "nullheader"): "AttributeError",
    ("*", "python", "*", "null"): lambda line: without(line, "data"),
    ("*", "python", "binary", "empty"): lambda line: without(line, "data"),
    ("*", "java", "binary", "empty"): lambda line: without(line, "data"),
    ("kurier", "java", "binary", "space"): "CloudEventRWException",
    ("kurier", "java", "structured", "space"): "EventDeserializationException",
    ("python", "kurier", "binary", "without"): lambda line: {**line, "data": ""},
    # Ours: null for data is no data in structured mode.
    ("*", "kurier", "structured", "null"): lambda line: without(line, "data"),
}


def without(line, name):
    return {key: value for key, value in line.items() if key != name}


def with_key_as_extension(line):
    if "key" in line:
        try:
            line["extensions"]["partitionkey"] = base64.b64decode(line["key"]).decode()
        except UnicodeDecodeError:
            pass
    return line


def expected_of(case, writer, reader, mode):
    line = copy.deepcopy(case)
    line["mode"] = mode
    if writer == "kurier":  # always there: the event's own id, unless another is given
        line["extensions"].setdefault("correlationid", case["id"])
    for (w, r, m, name), change in ODDITIES.items():
        if w in (writer, "*") and r in (reader, "*") and m in (mode, "*") and name in (case["id"], "*"):
            if isinstance(change, str):
                return {"error": change}
            line = change(line)
    return line


def time_of(line):
    return datetime.fromisoformat(line["time"].replace("Z", "+00:00")) if "time" in line else None


def data_of(line):
    """JSON by its value: parsers and printers in between are free to print it another way."""
    if "data" not in line:
        return None
    data = base64.b64decode(line["data"])
    content_type = line.get("datacontenttype", "application/json").split(";")[0]
    if content_type.endswith("json"):
        try:
            return ("json", json.loads(data))
        except ValueError:
            pass
    return ("bytes", data)


def difference_of(expected, found):
    if "error" in expected:
        said = found.get("error", "no error")
        return None if said.startswith(expected["error"]) else f"error: expected {expected['error']!r}, found {said!r}"
    if "error" in found:
        return "error: " + found["error"]
    for name in ["id", "source", "type", "subject", "dataschema", "datacontenttype", "key", "extensions"]:
        if expected.get(name) != found.get(name):
            return f"{name}: expected {expected.get(name)!r}, found {found.get(name)!r}"
    if time_of(expected) != time_of(found):
        return f"time: expected {expected.get('time')!r}, found {found.get('time')!r}"
    if data_of(expected) != data_of(found):
        return f"data: expected {data_of(expected)!r}, found {data_of(found)!r}"
    names = {header["name"] for header in expected.get("headers", [])}
    headers = [header for header in found["headers"] if header["name"] in names]
    if expected.get("headers", []) != headers:
        return f"headers: expected {expected.get('headers')!r}, found {headers!r}"
    return None


# ---- Tests ----


def topic_of(kurier, partitions):
    name = f"interop-{uuid.uuid4()}"
    kurier.call("topic", BOOTSTRAP, name, str(partitions))
    return name


def test_events(kurier, writer, readers):
    """Each case in both modes into one topic, and out of it by each reader."""
    topic = topic_of(kurier, 1)
    cases = EVENTS + (ONLY_OURS if writer is kurier else [])
    lines = [{**case, "topic": topic, "mode": mode} for case in cases for mode in ("binary", "structured")]
    writer.produce(lines)
    for reader in readers:
        found = reader.consume(topic, len(lines))
        for line, got in zip(lines, found):
            case = {name: value for name, value in line.items() if name not in ("topic", "mode")}
            expected = expected_of(case, writer.name, reader.name, line["mode"])
            check(f"{writer.name} to {reader.name}, {line['mode']}: {case['id']}", difference_of(expected, got))


def test_records(kurier, writer, readers):
    topic = topic_of(kurier, 1)
    lines = [{"headers": [], **record, "topic": topic, "mode": "plain"} for record in RECORDS]
    lines.append({"value": b64("{}"), "headers": [
        {"name": "ce_" + name, "value": b64(value)}
        for name, value in [("specversion", "1.0"), ("id", "i"), ("source", "/s"), ("type", "t"), ("x-y", "z")]],
        "topic": topic, "mode": "plain"})
    writer.produce(lines)
    for reader in readers:
        read = reader.consume(topic, len(lines))
        for line, got in zip(lines, read):
            expected = {name: line.get(name) for name in ("key", "value", "headers")}
            found = {name: got.get(name) for name in ("key", "value", "headers")}
            check(f"{writer.name} to {reader.name}: a record", None if expected == found
                  else f"expected {expected}, found {found}")
        # As an event: plain to us; and an attribute's name that is none is passed over by us, and refused by the others.
        is_event = [got.get("id") == "i" for got in read]
        refused = ["error" in got for got in read]
        count = len(RECORDS)
        wanted = {"kurier": [False] * (count + 1), "python": [True] * (count + 1), "java": [True] * (count + 1)}
        check(f"{writer.name} to {reader.name}: records as events", None if refused == wanted[reader.name]
              and is_event[-1] == (reader is kurier) else f"refused: {refused}, is an event: {is_event}")


def random_keys():
    seed = os.environ.get("KURIER_SEED") or "20260131"
    print(f"# {KEYS} keys, KURIER_SEED={seed}", flush=True)
    chance = random.Random(int(seed))
    keys = [b"", b"\x00", b"\xff" * 3, "schlüssel".encode(), "😀".encode(), b"a" * 10000]
    keys += [number.to_bytes(size, "big", signed=True) for size in (4, 8) for number in (0, 1, -1, 2**31 - 1, -2**31)]
    while len(keys) < KEYS:
        kind = chance.randrange(3)
        size = chance.randrange(40)
        if kind == 0:
            keys.append(bytes(chance.randrange(256) for _ in range(size)))
        elif kind == 1:
            keys.append("".join(chr(chance.choice([65, 228, 8364, 20320, 128512]) + chance.randrange(20))
                                for _ in range(size)).encode())
        else:
            keys.append(b"order-%d" % chance.randrange(10**9))
    return keys


def test_keys(kurier, others):
    keys = random_keys()
    topics = {count: topic_of(kurier, count) for count in PARTITIONS}
    lines = [{"topic": topics[count], "mode": "plain", "key": b64(key), "value": b64("v")} for count in PARTITIONS
             for key in keys]
    ours = kurier.produce(lines)
    for other in others:
        theirs = other.produce(lines)
        for position, count in enumerate(PARTITIONS):
            wrong = [(keys[i % len(keys)], ours[i]["partition"], theirs[i]["partition"])
                     for i in range(position * len(keys), (position + 1) * len(keys))
                     if ours[i]["partition"] != theirs[i]["partition"]]
            used = {place["partition"] for place in ours[position * len(keys):(position + 1) * len(keys)]}
            check(f"kurier and {other.name}: {len(keys)} keys on {count} partitions",
                  None if not wrong and len(used) == count
                  else f"{len(wrong)} differ, {len(used)} partitions used; (key, ours, theirs): {wrong[:3]}")


def main():
    kurier = Peer("kurier", [sys.argv[1]], {})
    others = []
    for name, make in (("python", python_peer), ("java", java_peer)):
        try:
            others.append(Peer(name, *make()))
        except Unavailable as error:
            skip(str(error))
    say("events and records")
    test_events(kurier, kurier, [kurier] + others)
    test_records(kurier, kurier, [kurier] + others)
    for other in others:
        test_events(kurier, other, [kurier])
        test_records(kurier, other, [kurier])
    say("keys")
    test_keys(kurier, others)


BOOTSTRAP = os.environ.get("KURIER_BOOTSTRAP")
if len(sys.argv) != 2:
    sys.exit("usage: script/kafka run tests/interop/interop.py BUILD/tests/interop/interop-peer\n" + __doc__)
if not BOOTSTRAP:
    sys.exit("interop: KURIER_BOOTSTRAP is not set: run it by script/kafka run")
try:
    main()
except Exception as error:
    check("the suite", f"{type(error).__name__}: {error}")
sys.exit(finish("interop"))
