#!/usr/bin/env python3
# Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
"""Writes dead letters as `kurier dlq import` takes them: what a listener leaves, and what a hostile one would.

usage: letters.py usual | hostile | again | liars TOPIC

"again" reads lines and writes them anew, as whoever stands in a pipe between export and import would. "liars" say that
they belong elsewhere: to TOPIC, to the audit, to partitions that there are not.
"""
import json
import sys
import time


def ago(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - seconds))


def letter(number, cause, value, partition=0, key="k", age=60, event="shop.order.created.v1", message="it did not answer"):
    headers = [["ce_specversion", "1.0"], ["ce_id", f"id-{number}"], ["ce_source", "/shop"], ["ce_type", event],
               ["Authorization", "Bearer canary-1"], ["kurier-retry-topic", "orders"],
               ["kurier-retry-partition", "3"], ["kurier-retry-offset", str(100 + number)],
               ["kurier-retry-group", "email"], ["kurier-retry-cause", cause], ["kurier-retry-message", message],
               ["kurier-retry-code", "mail.c:88"], ["kurier-retry-attempt", "5"], ["kurier-retry-failed", ago(age)],
               ["kurier-retry-first-failed", ago(age + 30)],
               ["kurier-retry-history", f"1 {ago(age + 30)} smtp.timeout; 2 {ago(age + 20)} smtp.timeout"]]
    return {"partition": partition, "timestamp_ms": int(time.time() * 1000) - 1000 * age, "key": key, "value": value,
            "headers": headers}


def usual():
    for i in range(6):
        order = {"id": i, "password": "canary-2", "card": {"number": "canary-3"}, "note": "{\"api_key\":\"canary-4\"}"}
        yield letter(i, "smtp.timeout", json.dumps(order), i % 2, f"k{i}", 3600 * i)
    yield letter(6, "poison", {"base64": "AP+A"}, 1, {"base64": "/w=="}, event="shop.parcel.v1")
    yield letter(7, "poison", None, 1, None, message="token=canary-5&x=1")


def hostile():
    orders = "\u001b[2J\u001b]0;owned\u0007\u009b31m\u202eevil\r\n\u007f"
    yield letter(0, orders, orders, 0, orders, message=orders)
    many = letter(1, "many", "v")
    many["headers"] += [["h\u001b[1m", f"{i}\u001b[2J"] for i in range(10000)]
    yield many
    forged = letter(2, "forged", "v")
    forged["headers"] += [["kurier-retry-attempt", "99999999999"], ["kurier-retry-failed", "9999-12-31T23:59:59Z"],
                          ["kurier-retry-partition", "-5"], ["kurier-retry-cause", "c" * 100000]]
    yield forged
    yield letter(3, "large", "x" * 900000)


def again():
    for line in sys.stdin:
        yield json.loads(line)


def liars():
    for i, topic in enumerate([sys.argv[2], "kurier.redrive", sys.argv[2] + ".made-by-a-liar"]):
        line = letter(i, "lie", '{"action":"discard"}', 2147483646, f"discard {sys.argv[2]} 0 {i}")
        line["headers"] += [["kurier-retry-topic", topic], ["topic", topic], ["kurier-redrive-id", "x"]]
        line["letter"] = {"topic": topic, "origin": {"topic": topic}, "execute": True}
        yield dict(line, topic=topic, offset=0)


for line in {"liars": liars, "usual": usual, "hostile": hostile, "again": again}[sys.argv[1]]():
    print(json.dumps(line))
