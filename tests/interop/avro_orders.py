# Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
"""
The orders of the Avro suite, in Kurier's JSON, and what readers and writers of another age make of them.
"""

import base64
import copy
import json

TYPICAL = {
    "id": "3f2504e0-4f89-41d3-9a0c-0305e82c3301",
    "created_at": "2026-11-29T12:34:56.789012Z",
    "packed_at": "2026-11-30T08:00:00.125Z",
    "due": "2026-12-03",
    "customer": {"name": "Zoë Müller", "email": "zoe@example.org"},
    "lines": [
        {"sku": "tea-1", "quantity": 2, "price": "4.50", "remark": "loose"},
        {"sku": "mug", "quantity": 1, "price": "-0.01"},
        {"sku": "日本茶 😀", "quantity": 300, "price": "1234567890.12", "remark": ""},
    ],
    "total": "1234567899.1100",
    "grade": "fair",
    "discount": 0.125,
    "gift_to": {"name": "Aunt"},
    "paid_at": "2026-11-29T12:35:00.000001Z",
    "counts": {"seen": 3, "schlüssel 😀": -1, "": 0},
    "labels": {"colour": ["red", "green"], "none": []},
    "grid": [[1, 2], [], [-3]],
    "scan": base64.b64encode(bytes(range(256))).decode(),
    "hash": base64.b64encode(b"\x00\xff\x01\xfe").decode(),
    "express": True,
    "weight": 2.5,
    "volume": 0.1,
    "number": 42,
}


def order(first, **more):
    made = {**copy.deepcopy(TYPICAL), **more}
    made["id"] = first + made["id"][8:]
    return {name: value for name, value in made.items() if value is not None}


ORDERS = [
    TYPICAL,
    order("00000001", customer={"name": ""}, lines=[], discount=None, gift_to=None, paid_at=None, counts={}, labels={},
          grid=[], scan="", total="0.0000", grade="good", express=False, weight=0.0, volume=0.0, number=0),
    order("00000002", created_at="9999-12-31T23:59:59.999999Z", packed_at="9999-12-31T23:59:59.999Z", due="9999-12-31",
          total="99999999999999.9999", number=2**63 - 1, counts={"max": 2**63 - 1, "min": -2**63}, weight=3.4028234663852886e38,
          volume=1.7976931348623157e308, grid=[[2**31 - 1, -2**31]], grade="other", discount=5e-324,
          lines=[{"sku": "a", "quantity": 2**31 - 1, "price": "9999999999.99"}]),
    order("00000003", created_at="0001-01-01T00:00:00.000000Z", packed_at="0001-01-01T00:00:00.000Z", due="0001-01-01",
          total="-99999999999999.9999", number=-2**63, weight=1.401298464324817e-45, volume=-0.0,
          lines=[{"sku": "a", "quantity": -2**31, "price": "-9999999999.99"}]),
    order("00000004", created_at="1969-12-31T23:59:59.999999Z", packed_at="1969-12-31T23:59:59.999Z", due="1969-12-31",
          paid_at="1970-01-01T00:00:00.000000Z", total="-0.0001", weight=0.10000000149011612),
    order("00000005", lines=[{"sku": f"s{i}", "quantity": i, "price": f"{i}.{i % 100:02}"} for i in range(1000)],
          counts={f"k{i}": i for i in range(500)}, scan=base64.b64encode(b"\x00" * 20000).decode()),
    order("00000006", total="0.0127", lines=[{"sku": "a", "quantity": 0, "price": text} for text in
                                            ("1.27", "1.28", "-1.28", "-1.29", "2.55", "2.56", "327.67", "-327.69")]),
]


def later_of(made):
    """As order_later reads it (avro_types.h)."""
    lines = [{"price": line["price"], "article": line["sku"], "quantity": line["quantity"], "unit": "piece"}
             for line in made["lines"]]
    return {"id": made["id"], "lines": lines, "grade": "good" if made["grade"] == "good" else "other", "channel": "web",
            "serial": made["number"], "total": made["total"], "due": made["due"], "weight": made["weight"]}


def newer_schema(text, has_fixed=True):
    """
    A writer that is newer than the order that ours reads: with a field that ours does not know, without some that have
    defaults, in another order, with smaller numbers, milliseconds, and a decimal in a fixed.
    """
    schema = json.loads(text)
    fields = {field["name"]: field for field in schema["fields"]}
    for gone in ("grade", "labels", "discount"):
        del fields[gone]
    fields["number"]["type"] = fields["volume"]["type"] = "int"
    fields["created_at"]["type"]["logicalType"] = "timestamp-millis"
    if has_fixed:
        fields["total"]["type"] = {"type": "fixed", "name": "interop.Total", "size": 9, "logicalType": "decimal", "precision": 18,
                                   "scale": 4}
    line = fields["lines"]["type"]["items"]
    line["fields"] = [field for field in line["fields"] if field["name"] not in ("quantity", "remark")]
    extra = {"name": "extra", "type": {"type": "map", "values": ["null", "interop.Line"]}}
    # What names a type stands behind what defines it.
    schema["fields"] = [fields["lines"], extra] + [fields[name] for name in reversed(fields) if name not in ("lines", "customer", "gift_to")]
    schema["fields"] += [fields["customer"], fields["gift_to"]]
    return json.dumps(schema)


def small(made):
    """What such a writer writes of an order; and what the order then is."""
    read = copy.deepcopy(made)
    read.update({"grade": "good", "labels": {}, "number": made["number"] % 1000, "volume": float(made["number"] % 77)})
    read["created_at"] = made["created_at"][:23] + "Z"
    read.pop("discount", None)
    for line in read["lines"]:
        line["quantity"] = 1
        line.pop("remark", None)
    written = {**read, "volume": int(read["volume"]), "extra": {"one": read["lines"][0] if read["lines"] else None, "none": None}}
    return written, read


LATER = [later_of(made) for made in ORDERS]
SMALL = [small(made)[0] for made in ORDERS]
SMALL_READ = [small(made)[1] for made in ORDERS]


def with_references(text):
    """The same schema, where others hold what it names."""
    schema = json.loads(text)
    fields = {field["name"]: field for field in schema["fields"]}
    line, customer = fields["lines"]["type"]["items"], fields["customer"]["type"]
    fields["lines"]["type"]["items"], fields["customer"]["type"] = "interop.Line", "interop.customer"
    line["namespace"] = customer["namespace"] = "interop"
    return {"schema": json.dumps(schema), "references": {"interop.Line": json.dumps(line), "interop.customer": json.dumps(customer)},
            "values_schema": text}
