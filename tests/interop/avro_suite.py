#!/usr/bin/env python3
# Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
"""
Avro and the schema registry beside Python's and Java's libraries, on the real Kafka that KURIER_BOOTSTRAP names and the real
registry that KURIER_REGISTRY names: an order of every kind, field by field, both ways, in each wire format; readers and
writers of different ages; canonical forms and fingerprints; schemas and values at random. Fetches its peers once: PyPI's
confluent-kafka with fastavro, and by Maven Java's Avro and Apicurio's serializer.

A peer takes a request, a JSON object a line, and answers {"values": […]} with texts, "!…" being what went wrong:
  topic, produce, consume, listen   with .topic, .registry, .wire, .subjects, .values or .count; ours with .type, the others with .schema,
                            .reader, and Python with .envelope, .references, .finds (and does not register)
  encode, decode            .values by .schema, between JSON and hexadecimal digits
  forms                     of each schema of .values its CRC-64-AVRO, a space, and its canonical form
  reads                     of each pair of .values, whether the first reads what the second has written
Values are JSON in Kurier's form (docs/decisions/wire.md) everywhere.
"""

import json
import os
import random
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
import uuid
from contextlib import suppress
from pathlib import Path

sys.dont_write_bytecode = True  # what is built stands elsewhere
from avro_guids import DIRECT, Guids
from avro_orders import LATER, ORDERS, SMALL, SMALL_READ, newer_schema, with_references
from avro_random import mutants, pairs
from avro_values import Values
from peers import CACHE, Unavailable, check, finish, install, java, run_or_say, say, skip

HERE = Path(__file__).resolve().parent
PYTHON_PACKAGES = ["confluent-kafka[avro,json,schemaregistry]==2.16.1", "fastavro==1.13.1"]
SCHEMAS = 500
AVRO = "application/avro"

# ---- The peers ----


class Peer:
    def __init__(self, name, command, environment=None):
        self.name = name
        self.process = subprocess.Popen(command + [BOOTSTRAP], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        encoding="utf-8", env={**os.environ, **(environment or {})})

    def ask(self, act, **more):
        request = {"act": act, "registry": REGISTRY, "wire": "confluent", **more}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self.name}'s peer ended with {self.process.wait(30)} when asked to {act}")
        values = json.loads(answer)["values"]
        wanted = request.get("count", len(request.get("values", [])))
        if wanted and len(values) != wanted and act != "reads":
            raise RuntimeError(f"{self.name}'s peer gave {len(values)} of {wanted} values to {act}")
        return values

    def ask_in_parts(self, act, values):
        """Ours reads a megabyte of JSON at once."""
        return [answer for at in range(0, len(values), 100) for answer in self.ask(act, values=values[at:at + 100])]

    def close(self):
        self.process.stdin.close()
        return self.process.wait(30)


def python_peer():
    directory = CACHE / ("interop-avro-python-" + "-".join(re.sub(r"\[.*\]", "", name).replace("==", "-") for name in PYTHON_PACKAGES))

    def make(work):
        say("fetching " + ", ".join(PYTHON_PACKAGES) + " (once)…")
        run_or_say("Python's venv is missing", [sys.executable, "-m", "venv", work / "venv"])
        pip = [work / "venv/bin/pip", "-q", "--disable-pip-version-check", "install", "--target", work / "lib"]
        run_or_say("Python's Avro packages could not be fetched", pip + PYTHON_PACKAGES)
        shutil.rmtree(work / "venv")

    install(directory, make)
    return Peer("python", [sys.executable, str(HERE / "avro_peer.py")], {"PYTHONPATH": str(directory / "lib")})


def java_peer():
    return Peer("java", java(HERE / "avro_java", "AvroPeer", "Java's Avro and Apicurio's serializer"))


# ---- Comparing ----


def forget(subject):
    """One that outlives its topic, so that who finds it does not find that of a case before."""
    with suppress(urllib.error.HTTPError):  # it is not there
        DIRECT.open(urllib.request.Request(f"{REGISTRY}/subjects/{subject}", method="DELETE"), timeout=30).close()


def check_sent(what, said):
    wrong = [text for text in said if text != "sent"]
    check(what + ": all sent", wrong[0] if wrong else None)


def check_orders(what, schema, expected, said):
    """Field by field."""
    values = Values(schema)
    for order, text in zip(expected, said):
        name = f"{what}: {order['id'][:8]}"
        try:
            if text.startswith("!"):
                raise ValueError(text)
            wanted, found = values.normal(order), values.normal(json.loads(text))
        except Exception as error:
            check(name, f"{type(error).__name__}: {error}")
            continue
        check(f"{name}: fields", None if set(wanted) == set(found) else f"{set(wanted) ^ set(found)}")
        for field in wanted:
            check(f"{name}: {field}", None if wanted[field] == found.get(field)
                  else f"expected {wanted[field]!r}, found {found.get(field)!r}"[:1000])


def found_in(schema, text):
    try:
        return Values(schema).normal(json.loads(text))
    except Exception as error:  # no text of such a value
        return error


class Suite:
    def __init__(self, ours, others):
        self.ours, self.others = ours, others
        (self.order,), (self.later,) = ours.ask("schema"), ours.ask("schema", type="order_later")

    def topic(self):
        name = f"interop-avro-{uuid.uuid4()}"
        self.ours.ask("topic", topic=name)
        return name

    def they_write(self, other, what, schema=None, orders=ORDERS, type="order", expected=None, **how):
        topic, what = self.topic(), f"{other.name} to kurier, {what}"
        texts = [json.dumps(order) for order in orders]
        check_sent(what, other.ask("produce", topic=topic, schema=schema or self.order, values=texts, **how))
        for act in ("consume", "listen") if "envelope" in how else ("consume",):
            said = self.ours.ask(act, topic=topic, count=len(texts), type=type, schema=schema or self.order, **how)
            check_orders(f"{what}, {act}", self.order if type == "order" else self.later, expected or orders, said)

    def we_write(self, other, what, readers=(None,), **how):
        """And they read, with the writer's schema, or as a later program does."""
        topic, what = self.topic(), f"kurier to {other.name}, {what}"
        check_sent(what, self.ours.ask("produce", topic=topic, values=[json.dumps(order) for order in ORDERS], **how))
        for reader in readers:
            said = other.ask("consume", topic=topic, count=len(ORDERS), schema=self.order, reader=reader, **how)
            expected = LATER if reader else ORDERS
            check_orders(what + (", a later reader" if reader else ""), reader or self.order, expected, said)

    # The cases.

    def python(self, python):
        self.they_write(python, "by id, with an envelope", envelope=AVRO)
        self.they_write(python, "by id, bare")
        self.they_write(python, "a later reader", type="order_later", expected=LATER)
        self.they_write(python, "an older reader", schema=newer_schema(self.order), orders=SMALL, expected=SMALL_READ)
        self.they_write(python, "with references", **with_references(self.order))
        self.they_write(python, "JSON Schema", wire="json", envelope="application/json")
        self.they_write(python, "JSON Schema, bare", wire="json")
        self.we_write(python, "by id", readers=(None, self.later))
        self.subjects(python)
        guids = Guids(REGISTRY)
        self.they_write(python, "by GUID", registry=guids.url, wire="header", envelope=AVRO)
        check("python to kurier, by GUID: that was asked for", None if guids.asked else "nothing was")
        guids.asked.clear()
        self.we_write(python, "by GUID", readers=(None, self.later), registry=guids.url, wire="header")
        check("kurier to python, by GUID: that was asked for", None if guids.asked else "nothing was")

    def subjects(self, python):
        """What we have registered they find, under each kind of subject, and the other way round."""
        text = json.dumps(ORDERS[0])
        for kind in ("topic", "record", "topic_record"):
            for first, second in ((self.ours, python), (python, self.ours)):
                topic = self.topic()
                forget("interop.Order")
                for peer, finds in ((first, False), (second, True)):
                    said = peer.ask("produce", topic=topic, schema=self.order, subjects=kind, finds=finds, values=[text])
                    check_sent(f"subjects by {kind}: {first.name}, then {second.name}, {peer.name} writes", said)

    def java(self, java):
        self.they_write(java, "by id")
        self.we_write(java, "by id")
        self.they_write(java, "single object", wire="single")
        self.they_write(java, "single object, a later reader", wire="single", type="order_later", expected=LATER)
        self.they_write(java, "single object, an older reader", wire="single", schema=newer_schema(self.order), orders=SMALL,
                        expected=SMALL_READ)
        self.we_write(java, "single object", readers=(None, self.later), wire="single")
        self.they_write(java, "plain", wire="plain")
        self.we_write(java, "plain", readers=(None, self.later), wire="plain")

    def at_random(self, made):
        """What one encodes all show; and whose form of a schema is whose."""
        forms = self.ours.ask_in_parts("forms", [schema for schema, _ in made])
        for other in self.others:
            theirs = other.ask_in_parts("forms", [schema for schema, _ in made])
            for (schema, _), our, their in zip(made, forms, theirs):
                check(f"kurier and {other.name}: form", None if our == their else f"{schema}\n    {our}\n    {their}")
        for schema, text in made:
            expected = found_in(schema, text)
            for writer in [self.ours] + self.others:
                (digits,) = writer.ask("encode", schema=schema, values=[text])
                for reader in ([self.ours] + self.others) if writer is self.ours else [self.ours]:
                    (said,) = ["!not encoded " + digits] if digits.startswith("!") else reader.ask("decode", schema=schema, values=[digits])
                    is_same = not said.startswith("!") and found_in(schema, said) == expected
                    check(f"{writer.name} to {reader.name}: at random", None if is_same else f"{schema}\n    {text}\n    {said}")

    def forms_of_ours(self):
        """The schemas that the suite's own events have: as each library sees them."""
        texts = [self.order, self.later, newer_schema(self.order)]
        ours = self.ours.ask("forms", values=texts)
        for other in self.others:
            for our, their in zip(ours, other.ask("forms", values=texts)):
                check(f"kurier and {other.name}: form of an order", None if our == their else f"\n    {our}\n    {their}")
        # A name of no namespace, met within one, which fastavro does not find.
        bare = json.dumps({"type": "record", "name": "R", "fields": [
            {"name": "f", "type": {"type": "enum", "name": "E", "symbols": ["A"]}},
            {"name": "g", "type": {"type": "record", "name": "far.S", "fields": [{"name": "h", "type": "E"}]}}]})
        said = {peer.name: peer.ask("forms", values=[bare])[0] for peer in [self.ours] + self.others}
        check("a name of no namespace", None if said["kurier"] == said.get("java", said["kurier"]) and
              said.get("python", "!").startswith("!UnknownType") is ("python" in said) else str(said))

    def who_reads_whom(self, java, made):
        newer = newer_schema(self.order, has_fixed=False)
        asked = [text for reader in (self.order, self.later, newer) for writer in (self.order, self.later, newer)
                 for text in (reader, writer)] + made
        ours, theirs = self.ours.ask_in_parts("reads", asked), java.ask_in_parts("reads", asked)
        for i, (our, their) in enumerate(zip(ours, theirs)):
            check("kurier and java: who reads whom", None if (our == "yes") == (their == "yes")
                  else f"reader {asked[2 * i]}\n    writer {asked[2 * i + 1]}\n    {our}\n    {their}")
        yes = sum(our == "yes" for our in ours)
        check("kurier and java: some read, some do not", None if 20 < yes < len(ours) - 20 else f"{yes} of {len(ours)}")
        # A decimal in a fixed, where the reader has bytes: ours reads it, Java's reader does not.
        pair = [self.order, newer_schema(self.order)]
        our, their = self.ours.ask("reads", values=pair) + java.ask("reads", values=pair)
        check("kurier and java: a decimal in a fixed", None if our == "yes" and "FIXED" in their else f"{our} and {their}")


def main():
    ours, others = Peer("kurier", [sys.argv[1]]), {}
    for name, make in (("python", python_peer), ("java", java_peer)):
        try:
            others[name] = make()
        except Unavailable as error:
            skip(str(error))
    suite = Suite(ours, list(others.values()))
    if "python" in others:
        say("orders with Python")
        suite.python(others["python"])
    if "java" in others:
        say("orders with Java")
        suite.java(others["java"])
    seed = os.environ.get("KURIER_SEED") or "20261129"
    print(f"# {SCHEMAS} schemas, KURIER_SEED={seed}", flush=True)
    made = pairs(random.Random(int(seed)), SCHEMAS)
    suite.forms_of_ours()
    if others:
        say("at random")
        suite.at_random(made)
    if "java" in others:
        suite.who_reads_whom(others["java"], mutants(random.Random(int(seed)), made))
    for peer in [ours] + list(others.values()):
        status = peer.close()
        check(f"{peer.name}'s peer ends well", None if status == 0 else f"status {status}")


BOOTSTRAP, REGISTRY = os.environ.get("KURIER_BOOTSTRAP"), os.environ.get("KURIER_REGISTRY")
if len(sys.argv) != 2:
    sys.exit("usage: script/kafka run script/registry run tests/interop/avro_suite.py BUILD/tests/interop/avro-peer\n" + __doc__)
if not BOOTSTRAP or not REGISTRY:
    sys.exit("interop: KURIER_BOOTSTRAP or KURIER_REGISTRY is not set: run it by script/kafka run script/registry run")
try:
    main()
except Exception as error:
    check("the suite", f"{type(error).__name__}: {error}")
sys.exit(finish("avro_interop"))
