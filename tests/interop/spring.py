#!/usr/bin/env python3
# Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
"""
Retry topics and dead letters beside Spring Kafka's own classes: the names, and headers that either side writes and the
other reads, over several hops. No broker is needed: spring/Spring.java hands records to what @RetryableTopic is made of.
Fetches spring-kafka once, by Maven.

Both sides take commands on lines, a record being "topic partition offset milliseconds header…" and a header NAME:VALUE
in hexadecimal; spring/Spring.java and spring_peer.c list them.
"""

import subprocess
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True  # what is built stands elsewhere
from peers import Unavailable, check, finish, java, skip

HERE = Path(__file__).resolve().parent
BORN_MS = 1795988000123  # of the record on its main topic
BORN_US = BORN_MS * 1000


class Side:
    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, *words):
        self.process.stdin.write(" ".join(str(word) for word in words) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError("a peer ended")
        return answer.rstrip("\n").split(" ")

    def close(self):
        self.process.stdin.close()
        return self.process.wait(30)


class Record:
    """Where it is, and its headers as both sides give them."""

    def __init__(self, topic, partition=3, offset=7, born_ms=BORN_MS, headers=()):
        self.topic, self.partition, self.offset, self.born_ms = topic, partition, offset, born_ms
        self.headers = [header for header in headers if header]

    def words(self):
        return [self.topic, self.partition, self.offset, self.born_ms, *self.headers]

    def all(self, name):
        """The values of a header, in their order."""
        pairs = [header.split(":") for header in self.headers]
        return [None if value == "-" else bytes.fromhex(value) for key, value in pairs if bytes.fromhex(key).decode() == name]


def header(name, value):
    return name.encode().hex() + ":" + value.hex()


OWN = [header("ce_id", b"1"), header("x", b"\x00\xff"), "78:-"]


class View:
    def __init__(self, words):
        (attempt, due, self.topic, partition, offset, timestamp, self.group, self.cause, message, clamped) = words
        self.attempt, self.due_us, self.partition, self.offset = int(attempt), int(due), int(partition), int(offset)
        self.timestamp_us, self.message = int(timestamp), bytes.fromhex(message).decode()
        self.is_clamped = clamped == "clamped"


def same(found, expected):
    return None if found == expected else f"expected {expected!r}, found {found!r}"


class Suite:
    def __init__(self, ours, theirs):
        self.ours, self.theirs = ours, theirs

    # What either side does with a record.

    def they_fail(self, record, offset, cause="timeout"):
        topic, partition, *headers = self.theirs.ask("fail", cause, *record.words())
        return Record(topic, int(partition), offset, int(time.time() * 1000), headers)

    def they_wait_for(self, record):
        (due,) = self.theirs.ask("due", *record.words())
        return None if due == "-" else int(due)

    def we_read(self, record):
        return View(self.ours.ask("read", int(time.time() * 1e6), *record.words()))

    def we_write(self, record, topic, tier, attempt, due_us, view=None, cause="smtp.timeout"):
        origin = [view.topic, view.partition, view.offset, view.timestamp_us, view.group] if view else \
            ["orders", 3, 7, BORN_US, "email"]
        headers = self.ours.ask("write", tier, attempt, due_us, *origin, cause, *record.words())
        return Record(topic, 3, record.offset + 1, int(time.time() * 1000), headers)

    def check_origin(self, what, view):
        check(what + ": origin", same((view.topic, view.partition, view.offset, view.timestamp_us, view.group),
                                      ("orders", 3, 7, BORN_US, "email")))
        check(what + ": nothing out of limits", same(view.is_clamped, False))

    def check_own(self, what, record):
        check(what + ": the record's own headers", same([h for h in record.headers if h in OWN], OWN))

    # The cases.

    def names(self):
        theirs = self.theirs.ask("names")
        ours = [self.ours.ask("name", tier, suffix)[0]
                for tier, suffix in (("main", "-"), ("short", "-"), ("dlq", "smtp"), ("dlq", "-"))]
        check("names", same(ours, theirs))

    def they_write(self):
        """A record fails four times at a Java service; read here after each time."""
        record = Record("orders", headers=OWN)
        for attempt in (2, 3, 4):
            before = int(time.time() * 1000)
            record = self.they_fail(record, 40 + attempt)
            view, what = self.we_read(record), f"theirs, attempt {attempt}"
            check(what + ": topic", same(record.topic, "orders-retry"))
            check(what, same(view.attempt, attempt))
            check(what + ": due", None if before + 5000 <= view.due_us // 1000 <= time.time() * 1000 + 5000
                  else f"{view.due_us} is not 5 s from now")
            check(what + ": due as they understand it", same(self.they_wait_for(record), view.due_us // 1000))
            check(what + ": cause", same(view.cause, "java.net.SocketTimeoutException"))
            check(what + ": message", same(view.message, "Listener failed; slow"))
            check(what + ": values pile up", same(len(record.all("retry_topic-attempts")), attempt - 1))
            self.check_origin(what, view)
            self.check_own(what, record)
        record = self.they_fail(record, 50)
        view = self.we_read(record)
        check("theirs, dead: topic", same(record.topic, "orders-dlt"))
        check("theirs, dead: the last attempt that was made", same(view.attempt, 4))
        self.check_origin("theirs, dead", view)
        routed = self.they_fail(Record("orders-retry", headers=[header("retry_topic-attempts", b"\0\0\0\x04")]), 1, "refused")
        check("theirs, dead letters of a cause", same(routed.topic, "orders-smtp-dlt"))
        check("theirs, dead letters of a cause: attempt", same(self.we_read(routed).attempt, 4))

    def we_write_then_they(self):
        """A record fails here, then at a Java service until it is dead."""
        due_us = int(time.time() * 1e6) + 3_000_001
        record = self.we_write(Record("orders", headers=OWN), "orders-retry", "short", 2, due_us)
        view = self.we_read(record)
        check("ours: due, up to the next millisecond", same(self.they_wait_for(record), -(-due_us // 1000)))
        check("ours: due as we understand it", same(view.due_us, -(-due_us // 1000) * 1000))
        self.check_origin("ours", view)
        origin = ["kafka_original-topic", "kafka_original-partition", "kafka_original-offset", "kafka_original-timestamp",
                  "kafka_original-timestamp-type", "kafka_dlt-original-consumer-group"]
        told = {name: record.all(name) for name in origin}
        for attempt in (3, 4):
            record = self.they_fail(record, 60 + attempt)
            what = f"ours, then theirs, attempt {attempt}"
            view = self.we_read(record)
            check(what + ": topic", same(record.topic, "orders-retry"))
            check(what, same(view.attempt, attempt))
            check(what + ": their view of the origin is ours", same({name: record.all(name) for name in origin}, told))
            check(what + ": their view of its time", same(record.all("retry_topic-original-timestamp"),
                                                          [BORN_MS.to_bytes(6, "big")] * (attempt - 1)))
            check(what + ": one exception", same(len(record.all("kafka_exception-cause-fqcn")), 1))
            self.check_origin(what, view)
            self.check_own(what, record)
        record = self.they_fail(record, 70)
        check("ours, then theirs, dead: topic", same(record.topic, "orders-dlt"))
        check("ours, then theirs, dead: attempt", same(self.we_read(record).attempt, 4))

    def they_write_then_we(self):
        """A record fails there, then here, and what has piled up is gone."""
        record = self.they_fail(self.they_fail(Record("orders", headers=OWN), 1), 2)
        view = self.we_read(record)
        passed_on = self.we_write(record, "orders-retry", "short", view.attempt + 1, view.due_us + 1000, view)
        for name in ("retry_topic-attempts", "retry_topic-backoff-timestamp", "retry_topic-original-timestamp",
                     "kafka_original-topic", "kafka_exception-fqcn"):
            check(f"theirs, then ours: one {name}", same(len(passed_on.all(name)), 1))
        check("theirs, then ours: the same bytes of the timestamp", same(passed_on.all("retry_topic-original-timestamp"),
                                                                         record.all("retry_topic-original-timestamp")[-1:]))
        check("theirs, then ours: due", same(self.they_wait_for(passed_on), view.due_us // 1000 + 1))
        self.check_origin("theirs, then ours", self.we_read(passed_on))
        self.check_own("theirs, then ours", passed_on)
        dead = self.they_fail(passed_on, 3)
        check("theirs, then ours, then theirs", same((dead.topic, self.we_read(dead).attempt), ("orders-dlt", 4)))

    def dead_letters_of_ours(self):
        dead = self.we_write(Record("orders", headers=OWN), "orders-dlt", "dlq", 4, 0)
        due_ms = self.they_wait_for(dead)
        check("ours, dead: they do not wait", None if due_ms is None or due_ms <= time.time() * 1000 else f"until {due_ms}")
        check("ours, dead: as they write it", same(dead.all("retry_topic-attempts"), [b"\0\0\0\x05"]))
        check("ours, dead: attempt", same(self.we_read(dead).attempt, 4))
        again = self.they_fail(dead, 1)
        check("ours, dead: their handler fails", same((again.topic, self.we_read(again).attempt), ("orders-dlt", 5)))

    def sent_back(self):
        """They believe what stands on a main topic: what is left there costs attempts."""
        dead = self.they_fail(Record("orders-retry", headers=OWN + [header("retry_topic-attempts", b"\0\0\0\x04")]), 1)
        left = self.they_fail(Record("orders", headers=dead.headers), 2)
        check("a dead letter sent back as it is has no attempts left", same(left.topic, "orders-dlt"))
        stripped = self.we_write(dead, "orders", "main", 1, 0)
        check("sent back by us: own headers alone", same(stripped.headers, OWN))
        back = self.they_fail(stripped, 3)
        check("sent back by us it begins again", same((back.topic, self.we_read(back).attempt), ("orders-retry", 2)))

    def readers(self):
        """What either reader makes of attempts and times: the same, but where ours is safer."""
        for value, attempt in ((b"\x02", 2), (b"2", 50), (b"\xff", 255), (b"\0\0\0\x02", 2), (b"\0\x02", 1), (b"", 1),
                               (b"\0\0\0\0", 1), (b"\xff\xff\xff\xff", 1), (b"\0\0\0\0\0\0\0\x02", 1)):
            record = Record("orders-retry", headers=[header("retry_topic-attempts", value)])
            check(f"attempts {value!r}: ours", same(self.we_read(record).attempt, attempt))
            theirs = self.they_fail(record, 1).all("retry_topic-attempts")[-1]
            check(f"attempts {value!r}: theirs", same(theirs, (attempt + 1).to_bytes(4, "big")))
        forged = Record("orders-retry", headers=[header("retry_topic-attempts", b"\0\0\x80\0")])
        check("forged attempts: theirs begins again", same(self.they_fail(forged, 1).topic, "orders-retry"))
        check("forged attempts: ours has had many", same(self.we_read(forged).attempt, 10000))

        now_ms = int(time.time() * 1000)
        for due_ms, they in ((now_ms + 10000, True), (now_ms + 23 * 3600000, True), (now_ms + 25 * 3600000, False)):
            for size in (6, 8):
                record = Record("orders-retry", headers=[header("retry_topic-backoff-timestamp", due_ms.to_bytes(size, "big"))])
                check(f"due in {(due_ms - now_ms) / 3600000:.0f} h, {size} bytes: ours", same(self.we_read(record).due_us, due_ms * 1000))
                # More than a day ahead they run it at once.
                check(f"due in {(due_ms - now_ms) / 3600000:.0f} h, {size} bytes: theirs", same(self.they_wait_for(record), due_ms if they else None))
        nine = Record("orders-retry", headers=[header("retry_topic-backoff-timestamp", now_ms.to_bytes(9, "big"))])
        check("due in nine bytes", same((self.we_read(nine).due_us, self.they_wait_for(nine)), (0, None)))

        lost = self.they_fail(Record("orders-retry", 0, 5, headers=[header("retry_topic-attempts", b"\0\0\0\x02")]), 1)
        check("where no origin is told they take the retry topic for it", same(lost.all("kafka_original-topic"), [b"orders-retry"]))


def main():
    try:
        theirs = Side(java(HERE / "spring", "Spring", "spring-kafka"))
    except Unavailable as error:
        skip(str(error))
        return
    suite = Suite(Side([sys.argv[1]]), theirs)
    for case in (suite.names, suite.they_write, suite.we_write_then_they, suite.they_write_then_we,
                 suite.dead_letters_of_ours, suite.sent_back, suite.readers):
        case()
    check("both ended well", same((suite.ours.close(), theirs.close()), (0, 0)))


if len(sys.argv) != 2:
    sys.exit("usage: tests/interop/spring.py BUILD/tests/interop/spring-peer\n" + __doc__)
try:
    main()
except Exception as error:
    check("the suite", f"{type(error).__name__}: {error}")
sys.exit(finish("spring"))
