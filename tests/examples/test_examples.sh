#!/usr/bin/env bash
# Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
# The examples, as processes on an embedded broker, once: with a real Kafka they would do the same.
[ -z "${KURIER_BOOTSTRAP:-}" ] || exit 77
. "$(dirname "$0")/../processes.sh"

examples=$BUILD/examples

start broker "$BUILD/tools/kurier/kurier" broker --topic pictures:4 --topic prices:2 --topic calls:3 --topic orders:3 --topic readings:2
broker=$last
await 60 has broker ':[0-9]+$'
KAFKA_BOOTSTRAP_SERVERS=$(head -n 1 "$work/broker")
export KAFKA_BOOTSTRAP_SERVERS

for name in broadcast competing dead_letters event_loop redrive retry; do
    check "$name --help" sh -c "'$examples/$name' --help | grep -q '^usage: .*$name'"
    check "$name is a page" test "$(wc -l <"$SOURCE/examples/$name.c")" -lt 80
done

# Two instances of the broadcast know the same: one that was there from the start, and one that comes later.
start broadcast.1 "$examples/broadcast"
early=$last
check "without prices all are known" await 60 has broadcast.1 '^all prices are known$'
check "a price is set" "$examples/broadcast" tea 150
check "another is set" "$examples/broadcast" coffee 220
check "and deleted" "$examples/broadcast" coffee
start broadcast.2 "$examples/broadcast"
late=$last
for name in broadcast.1 broadcast.2; do
    check "$name knows the price" await 60 has $name '^tea costs 150$'
    check "$name knows of the deletion" await 60 has $name '^coffee is not sold any more$'
done
check "the later one knew all before it was told" await 60 sh -c "tail -n 1 '$work/broadcast.2' | grep -q '^all prices are known$'"
for pid in $early $late; do
    check "SIGTERM ends the broadcast with 0" ends $pid
done

# Two instances share 200 pictures; one is handed over, those that failed at first come again.
start competing.1 "$examples/competing"
first=$last
start competing.2 "$examples/competing"
second=$last
start loop "$examples/event_loop" pictures bytes
loop=$last
# Who comes later than the others by 3 s waits for most of a session's 45 s, on this broker; and again when the topics of
# their own are there.
for name in competing.1 competing.2; do
    check "$name is a member of its group" await 180 has $name 'partitions assigned'
done
check "200 pictures are added" "$examples/competing" 200
all() { cat "$work"/competing.?; }
done_with() { [ "$(all | grep ': picture ' | sort -u | wc -l)" = 199 ]; }
check "each picture is worked on but one" await 60 done_with
check "each instance has done its share" sh -c "for log in '$work'/competing.?; do grep -q ': picture ' \$log || exit 1; done"
check "that one is rejected" await 60 sh -c "cat '$work'/competing.? | grep -q 'rejected: .*pictures.unlucky: nobody wants'"
check "what failed is tried again" test "$(all | grep ', attempt 2$' | sort -u | wc -l)" = 20
check "the loop has counted all" await 60 has loop '^200 records, [0-9]+ bytes$'
for pid in $first $second $loop; do
    check "SIGTERM ends it with 0" ends $pid
done

# Calls that nobody answers come again by a retry topic; two never come through.
start retry "$examples/retry"
retry=$last
check "100 calls are added" "$examples/retry" 100
calls() { [ "$(grep -c ': call ' "$work/retry")" = "$1" ]; }
check "all calls are made but two" await 180 calls 98 # most of a session goes by before its retry topics are read
check "busy lines are called for the third time" has retry ': call 3, attempt 3$'
check "others at once" has retry ': call 4, attempt 1$'
letters() { "$examples/dead_letters" calls.phone.dlq >"$work/letters" && [ "$(grep -c '^1 of ' "$work/letters")" = 2 ]; }
check "two are dead" await 60 letters
for cause in line.dead number.unknown; do check "one of $cause" has letters "^1 of $cause\$"; done
check "with its reason" has letters '^calls\.phone\.dlq/[0-9]/[0-9]+: there is no customer customer 0$'
check "and each of its attempts" has letters '^    attempt 4 at .*Z: line\.dead$'
again() { "$examples/redrive" calls.phone.dlq >"$work/again"; }
check "they are sent again" again
check "two are planned" has again '^plan [0-9a-f-]{36}: 2 letters$'
check "and both fail again, for nothing is repaired" has again '^0 succeeded, 2 failed again, 0 pending$'
check "SIGTERM ends it with 0" ends $retry
check "what failed has been counted, both times" has retry '^line\.dead: 6 tried again, 2 dead$'

# Readings in Avro, without a registry.
if [ -x "$examples/avro" ]; then
    check "avro --help" sh -c "'$examples/avro' --help | grep -q '^usage: .*avro'"
    check "avro is a page" test "$(wc -l <"$SOURCE/examples/avro.c")" -lt 80
    check "20 readings are published" "$examples/avro" 20
    start avro "$examples/avro"
    read_all() { [ "$(grep -c '^roof [0-4]: 19\.[56][0-9] °C, application/avro$' "$work/avro")" = 20 ]; }
    check "all are read" await 60 read_all
    check "SIGTERM ends the readings with 0" ends $last
fi

# Orders are placed while the broker is away; those that there are not enough boxes for have no event.
if [ -x "$examples/outbox_sqlite" ]; then
    check "outbox_sqlite --help" sh -c "'$examples/outbox_sqlite' --help | grep -q '^usage: .*outbox_sqlite'"
    check "outbox_sqlite is a page" test "$(wc -l <"$SOURCE/examples/outbox_sqlite.c")" -lt 80
    file=$work/orders.db
    check "50 orders are placed without a broker" env KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:1 "$examples/outbox_sqlite" "$file" 50
    start orders "$examples/event_loop" orders orders-bytes
    orders=$last
    start relay "$examples/outbox_sqlite" "$file"
    relay=$last
    check "their events are there" await 60 has orders '^50 records,'
    check "then there are not enough boxes" sh -c "! '$examples/outbox_sqlite' '$file' 100 >'$work/placed' 2>&1"
    check "of the next orders some are placed" has placed '^52 orders are placed$'
    check "and it is told why not all" has placed 'constraint failed: boxes >= 0'
    check "events are of orders alone" await 60 has orders '^102 records,'
    # What was placed is packed once, whoever is killed, and however often it is delivered.
    check "inbox --help" sh -c "'$examples/inbox' --help | grep -q '^usage: .*inbox'"
    check "inbox is a page" test "$(wc -l <"$SOURCE/examples/inbox.c")" -lt 80
    select_of() { # file, statement: the row, with commas
        python3 -c 'import sqlite3, sys; print(*sqlite3.connect(sys.argv[1]).execute(sys.argv[2]).fetchone(), sep=",")' "$@"
    }
    packed() { select_of "$work/store.db" 'SELECT orders, boxes FROM packed' 2>/dev/null; }
    some_packed() { [ "$(packed | cut -d , -f 1)" -gt 5 ] 2>/dev/null; }
    all_packed() { [ "$(packed)" = "$(select_of "$file" 'SELECT count(*), sum(boxes) FROM orders')" ]; }
    start store.1 "$examples/inbox" "$work/store.db"
    check "orders are packed" await 240 some_packed
    kill -9 $last
    wait $last 2>/dev/null || true
    start store.2 "$examples/inbox" "$work/store.db"
    check "all are, once each" await 240 all_packed
    check "SIGTERM ends the store with 0" ends $last
    check "and nothing was packed meanwhile" all_packed
    check "each with an event, in the outbox" test "$(select_of "$work/store.db" 'SELECT count(*) FROM kurier_outbox')" = 102
    for pid in $relay $orders; do check "SIGTERM ends it with 0" ends $pid; done
fi
check "the broker ends with 0" ends $broker
