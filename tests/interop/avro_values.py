# Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
"""
Values between Kurier's JSON and what Python's Avro libraries take and give, by their schema.
"""

import base64
import decimal
import json
import struct
import uuid
from datetime import date, datetime, timezone

EXACT = decimal.Context(prec=60)


def time_of(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(timezone.utc)


def text_of(time):
    return time.astimezone(timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")


def single(number):
    """As a float of four bytes has it."""
    return struct.unpack("<f", struct.pack("<f", number))[0]


def digits_of(number, scale):
    return format(number.quantize(decimal.Decimal(1).scaleb(-scale), context=EXACT), "f")


def bytes_of(text):
    return base64.b64decode(text, validate=True)


def base64_of(data):
    return base64.b64encode(data).decode()


# By logical type, else by type: from JSON, to JSON.
SCALARS = {
    "timestamp-micros": (time_of, text_of),
    "timestamp-millis": (time_of, text_of),
    "date": (date.fromisoformat, date.isoformat),
    "uuid": (uuid.UUID, str),
    "decimal": (EXACT.create_decimal, None),
    "bytes": (bytes_of, base64_of),
    "fixed": (bytes_of, base64_of),
    "float": (single, single),
    "double": (float, float),
}
SAME = (lambda value: value, lambda value: value)


class Values:
    def __init__(self, text):
        self.schema, self.named = json.loads(text), {}
        self.learn(self.schema, "")

    def learn(self, schema, namespace):
        """Each named type by its full name, and by how it is named where it stands."""
        if isinstance(schema, list):
            for branch in schema:
                self.learn(branch, namespace)
        elif isinstance(schema, dict):
            if "name" in schema:
                name = schema["name"]
                namespace = name.rpartition(".")[0] or schema.get("namespace", namespace)
                self.named[name] = self.named[name.rpartition(".")[2]] = schema
                self.named[f"{namespace}.{name.rpartition('.')[2]}"] = schema
            for part in [field["type"] for field in schema.get("fields", [])] + [schema.get("items"), schema.get("values")]:
                self.learn(part, namespace)
            if isinstance(schema["type"], (dict, list)):
                self.learn(schema["type"], namespace)

    def walk(self, schema, value, way):
        if isinstance(schema, str):
            schema = self.named.get(schema, {"type": schema})
        if isinstance(schema, list):  # null and something
            return None if value is None else self.walk(next(branch for branch in schema if branch != "null"), value, way)
        kind = schema["type"]
        if isinstance(kind, (dict, list)):
            return self.walk(kind, value, way)
        if kind == "record":
            return {field["name"]: self.walk(field["type"], value.get(field["name"]), way) for field in schema["fields"]}
        if kind == "array":
            return [self.walk(schema["items"], item, way) for item in value]
        if kind == "map":
            return {key: self.walk(schema["values"], item, way) for key, item in value.items()}
        logical = schema.get("logicalType")
        if logical == "decimal" and way == 1:
            return digits_of(value, schema.get("scale", 0))
        return SCALARS.get(logical, SCALARS.get(kind, SAME))[way](value)

    def native(self, value):
        """What the libraries take, of JSON."""
        return self.walk(self.schema, value, 0)

    def json(self, value):
        """And back: with each field, and times to the microsecond, so that the same is equal."""
        return self.walk(self.schema, value, 1)

    def normal(self, value):
        return self.json(self.native(value))
