# Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
"""
Schemas of every kind, told in every way that Avro allows, values of them, and schemas that nearly are the same, at random.
"""

import base64
import json
import uuid
from datetime import date, datetime, timedelta, timezone

from avro_values import EXACT, digits_of, single, text_of

PRIMITIVES = ["null", "boolean", "int", "long", "float", "double", "bytes", "string"]
WORDS = ["", "a", "Zoë", "😀", "line\nbreak", "\"quoted\\\"", "x" * 300, "\u0001", "日本語"]


class Maker:
    def __init__(self, chance):
        self.chance, self.named, self.count = chance, [], 0

    # ---- Schemas ----

    def name(self, attributes, namespace):
        """A new name in one of the ways to tell it; returns the namespace within."""
        self.count += 1
        plain, way = f"N{self.count}", self.chance.randrange(4)
        if way == 0:
            attributes["name"] = f"other.space.{plain}"
            namespace = "other.space"
        elif way == 1:
            namespace = self.chance.choice(["one", "one.two"])
            attributes.update({"name": plain, "namespace": namespace})
        else:
            attributes["name"] = plain
        self.full = f"{namespace}.{plain}" if namespace else plain
        if self.chance.randrange(3) == 0:
            attributes["aliases"] = [f"Old{self.count}", f"far.away.Old{self.count}"]
        if self.chance.randrange(3) == 0:
            attributes["doc"] = self.chance.choice(WORDS)
        return namespace

    def shuffled(self, attributes):
        if self.chance.randrange(3) == 0:
            attributes["x-of-no-meaning"] = {"a": [1, 2.5, None]}
        items = list(attributes.items())
        self.chance.shuffle(items)
        return dict(items)

    def decimal(self):
        precision = self.chance.randint(1, 18)
        return {"logicalType": "decimal", "precision": precision, "scale": self.chance.randint(0, precision)}

    def scalar(self, namespace):
        kind = self.chance.randrange(16)
        if kind < len(PRIMITIVES):
            return {"type": PRIMITIVES[kind]} if self.chance.randrange(4) == 0 else PRIMITIVES[kind]
        if kind == 8:
            return self.shuffled({"type": "bytes", **self.decimal()})
        if kind == 9:
            made = {"type": "fixed", "size": 8, **self.decimal()}
        elif kind == 10:
            made = {"type": "fixed", "size": self.chance.randint(1, 20)}
        elif kind == 11:
            symbols = [f"S{i}" for i in range(self.chance.randint(1, 9))]
            made = {"type": "enum", "symbols": symbols}
            if self.chance.randrange(2) == 0:
                made["default"] = self.chance.choice(symbols)
        else:
            base, logical = [("int", "date"), ("long", "timestamp-millis"), ("long", "timestamp-micros"), ("string", "uuid")][kind - 12]
            return self.shuffled({"type": base, "logicalType": logical})
        self.name(made, namespace)
        self.named.append((self.full, made))
        return self.shuffled(made)

    def record(self, depth, namespace):
        made = {"type": "record"}
        inner = self.name(made, namespace)
        made["fields"], full = [], self.full
        for i in range(self.chance.randint(0, 6)):
            field = {"name": f"f{i}", "type": self.schema(depth - 1, inner)}
            if field["type"] == "int" and self.chance.randrange(2) == 0:
                field.update({"default": 7, "order": "descending"})
            made["fields"].append(self.shuffled(field))
        self.named.append((full, made))
        return self.shuffled(made)

    def schema(self, depth, namespace=""):
        kind = self.chance.randrange(8)
        if depth <= 0 or kind < 2:
            return self.scalar(namespace)
        if kind == 2:
            return self.known(namespace) or self.scalar(namespace)
        if kind == 3:
            return self.shuffled({"type": "array", "items": self.schema(depth - 1, namespace)})
        if kind == 4:
            return self.shuffled({"type": "map", "values": self.schema(depth - 1, namespace)})
        if kind == 5:
            branch = self.schema(depth - 1, namespace)
            is_plain = branch not in ("null", {"type": "null"}) and not isinstance(branch, list)
            return self.chance.choice([["null", branch], [branch, "null"]]) if is_plain else branch
        return self.record(depth, namespace)

    def known(self, namespace):
        """How a type that is there is named: in its own namespace perhaps without that. One of no namespace has no name elsewhere."""
        full = self.chance.choice([name for name, _ in self.named if "." in name or not namespace] or [None])
        is_near = full is not None and full.rpartition(".")[0] == namespace
        return full.rpartition(".")[2] if is_near and self.chance.randrange(2) == 0 else full

    # ---- Values ----

    def time(self, unit):
        first = datetime(1, 1, 1, tzinfo=timezone.utc)
        span = (datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone.utc) - first) // unit
        return text_of(first + self.chance.choice([0, span, self.chance.randint(0, span)]) * unit)

    def number(self, bits):
        size = self.chance.choice([3, 8, 16, bits - 1])
        return self.chance.choice([self.chance.randint(-2**size, 2**size - 1), -2**size, 2**size - 1])

    def digits(self, schema):
        most = 10 ** schema["precision"] - 1
        number = self.chance.choice([0, most, -most, self.chance.randint(-most, most)])
        scale = schema["scale"]
        return digits_of(EXACT.create_decimal(number).scaleb(-scale, context=EXACT), scale)

    def scalar_value(self, schema, kind):
        logical, chance = schema.get("logicalType"), self.chance
        if logical == "decimal":
            return self.digits(schema)
        if logical == "date":
            return (date(1, 1, 1) + timedelta(days=chance.choice([0, 719162, 719161, chance.randint(0, 3652058)]))).isoformat()
        if logical in ("timestamp-millis", "timestamp-micros"):
            return self.time(timedelta(milliseconds=1) if logical == "timestamp-millis" else timedelta(microseconds=1))
        if logical == "uuid":
            return str(uuid.UUID(int=chance.getrandbits(128)))
        if kind in ("bytes", "fixed"):
            size = schema["size"] if kind == "fixed" else chance.choice([0, 1, 17, 400])
            return base64.b64encode(chance.randbytes(size)).decode()
        if kind == "float":
            return single(chance.choice([0.0, 1.5, -1e30, 1e-40, chance.uniform(-1e6, 1e6)]))
        return {"null": lambda: None, "boolean": lambda: chance.random() < 0.5, "int": lambda: self.number(32),
                "long": lambda: self.number(64), "string": lambda: chance.choice(WORDS) + chance.choice(WORDS),
                "double": lambda: chance.choice([0.1, -0.0, 1e300, 5e-324, chance.gauss(0, 1e3)]),
                "enum": lambda: chance.choice(schema.get("symbols"))}[kind]()

    @property
    def plain(self):
        return {name.rpartition(".")[2]: schema for name, schema in self.named}

    def value(self, schema, depth=6):
        if isinstance(schema, str):
            schema = self.plain.get(schema.rpartition(".")[2], {"type": schema})
        if isinstance(schema, list):
            other = next(branch for branch in schema if branch != "null")
            return None if depth <= 0 or self.chance.randrange(3) == 0 else self.value(other, depth - 1)
        kind = schema["type"]
        count = self.chance.choice([0, 1, 2, 5]) if depth > 0 else 0
        if kind == "record":
            return {field["name"]: self.value(field["type"], depth - 1) for field in schema["fields"]}
        if kind == "array":
            return [self.value(schema["items"], depth - 1) for _ in range(count)]
        if kind == "map":
            return {self.chance.choice(WORDS) + str(i): self.value(schema["values"], depth - 1) for i in range(count)}
        return self.scalar_value(schema, kind)


def pairs(chance, count):
    """Texts of schemas, with the text of a value for each."""
    made = []
    while len(made) < count:
        maker = Maker(chance)
        schema = maker.record(4, "")
        made.append((json.dumps(schema, ensure_ascii=chance.random() < 0.5), json.dumps(maker.value(schema))))
    return made


# ---- Mutants ----


def parts(schema):
    """All records, enums and fixed in a schema, and all fields."""
    if isinstance(schema, list):
        for branch in schema:
            yield from parts(branch)
    if isinstance(schema, dict):
        yield schema
        for inner in [schema.get("type"), schema.get("items"), schema.get("values"), *schema.get("fields", [])]:
            yield from parts(inner)


def mutate(chance, text):
    """Changes one thing that Avro's rules speak of; logical types, of which Java's know nothing, stay."""
    schema = json.loads(text)
    part = chance.choice(list(parts(schema)))
    kind, way = part.get("type"), chance.randrange(4)
    if "symbols" in part and way == 0:
        part.pop("default", None)
    elif "symbols" in part:
        part["symbols"] = part["symbols"][way - 2:] or ["S9"]
        part.pop("default", None)
        part.update({"default": part["symbols"][0]} if way == 3 else {})
    elif "size" in part and "logicalType" not in part:
        part["size"] += 1
    elif part.get("fields") and way < 2:
        gone = chance.randrange(len(part["fields"]))
        if not any("name" in inner and inner is not part["fields"][gone] for inner in parts(part["fields"][gone])):
            del part["fields"][gone]
    elif "fields" in part:
        part["fields"].append({"name": "new", "type": "long", **({"default": 1} if way == 2 else {})})
    elif isinstance(kind, str) and kind in PRIMITIVES and "logicalType" not in part:
        part["type"] = chance.choice(PRIMITIVES) if way < 2 or "name" not in part else ["null", kind] if kind != "null" else kind
        part.pop("default", None)
    return json.dumps(schema)


def mutants(chance, made):
    """Pairs of readers and writers."""
    texts = []
    for schema, _ in made:
        other = mutate(chance, schema)
        texts += chance.choice([[schema, other], [other, schema]])
    return texts
