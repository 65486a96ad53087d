#!/usr/bin/env bash
# Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
# `kurier outbox` and `kurier inbox` as a person uses them, with the database that is the argument (sqlite, postgres), on
# the embedded broker or on the real one that KURIER_BOOTSTRAP names.
. "$(dirname "$0")/lib.sh"

driver=$1
export SCHEMA=test_$unique
case $driver in
sqlite)
    where=$work/shop.db
    schema=1
    database=(--sqlite "$where")
    ;;
postgres)
    where=${KURIER_POSTGRES:-}
    schema=2
    database=(--schema "$SCHEMA")
    ;;
esac
unset KURIER_SQLITE
outbox() { noun=outbox kurier "$@" "${database[@]}"; }
inbox() { noun=inbox kurier "$@" "${database[@]}"; }
topic=$unique.orders

# ---- Command lines ----

check "no database" env -u KURIER_POSTGRES bash -c '"$1" outbox status 2>&1 | grep -q "which database?"' - "$kurier"
check "two of them" kurier 3 "two databases are named" -- outbox status --sqlite a --postgres b
check "no driver of that name" kurier 3 "neither postgres nor sqlite" -- outbox schema oracle
if "$kurier" outbox schema "$driver" 2>&1 | grep -q "was built without"; then
    skip "there is no driver for $driver"
    exit
fi
check "the statements" outbox 0 "CREATE TABLE" -- schema "$driver"
# Each table and column stands in the guide, in a section of its table.
check "the guide tells of all tables and columns" python3 - "$SOURCE/docs/guide/database-schema.md" "$work/out" <<'END'
import re, sys
page, text = (open(name).read() for name in sys.argv[1:])
sections = {part.split("\n")[0]: part for part in page.split("\n## ")[1:]}
tables = re.findall(r"CREATE TABLE (?:IF NOT EXISTS )?(?:main\.kurier_|\w+\.)(\w+) ?\((.*?)\n? *\)[^,]*;", text, re.S)
assert len(tables) == 8, [name for name, body in tables]
for name, body in tables:
    for column in re.findall(r'^ +"?([a-z_]+)"? ', body, re.M):
        assert f"`{column}`" in sections[name], f"{name}.{column}"
END
check "from a schema that nobody knows" outbox 3 "is none of them" -- schema "$driver" --from 900
check "from the one that is there" outbox 0 "nothing is to be done" -- schema "$driver" --from "$schema"
if [ "$driver" = postgres ]; then check "from the one before" outbox 0 "CREATE OR REPLACE FUNCTION $SCHEMA.inbox_enter" -- schema postgres --from 1; fi
check "too many shards" kurier 3 "--shards needs a number from 1 to 256" -- outbox schema "$driver" --shards 257
if [ -z "$where" ]; then
    skip "no PostgreSQL: script/postgres run"
    exit
fi
if [ "$driver" = sqlite ]; then
    check "a file that is not there" outbox 1 "No such file" -- status
    check "it was not made" test ! -e "$where"
    check "a schema in SQLite" kurier 3 "--schema is PostgreSQL's" -- outbox status --sqlite a --schema b
    check "no file's name" kurier 3 "not a file's" -- outbox migrate --sqlite :memory:
else
    check "nobody listens" kurier 1 "127.0.0.1" -- outbox status --postgres "host=127.0.0.1 port=1 user=u password=hunter2"
    check "and the password is not told" not says "$work/both" hunter2
    check "a schema's name that cannot be" kurier 3 "schema" -- outbox status --schema 'a"b'
fi
check "an id that is none" outbox 3 "is no row's id" -- show first
check "no id" outbox 3 "which row?" -- show
check "no ids" outbox 3 "which rows?" -- unpark
check "ids and all" outbox 3 "which rows?" -- unpark 1 --all
check "no reason" outbox 3 "--reason is missing" -- drop 1
check "no place" inbox 3 "which place?" -- reset inventory orders --to 1
check "nowhere" inbox 3 "where to?" -- reset inventory orders/1
check "no topic" inbox 3 "is neither" -- forget inventory "a b"

# ---- Tables ----

if [ "$driver" = postgres ]; then check "before" outbox 1 "kurier outbox migrate" -- status; fi
check "made" outbox 0 "the tables were made: schema $schema, with 4 shards" -- migrate --shards 4
check "once" outbox 0 "nothing was to be done" -- migrate
check "shards stay" outbox 0 "there are 4 shards, and stay so" -- migrate --shards 8
check "empty" outbox 0 "$driver, schema $schema, 4 shards" "0 rows" "no relay is at work" -- status
check "nothing is parked" outbox 0 "nothing is parked" -- list
check "no such row" outbox 1 "no row 7 is parked" -- show 7
check "for programs" outbox 0 -- status -o json
check "with all of it" holds 'it[0]["waiting"] == 0 and it[0]["oldest"] is None and len(it[0]["shards"]) == 4 and it[0]["relays"] == []'

# ---- Relay ----

add() { "$BUILD/tests/command/adding" "$driver" "$where" "$@"; }
real_or_embedded "$topic:2"
if is_real; then
    echo "{\"name\": \"$topic\", \"partitions\": 2}" >"$work/topics.json"
    partitions=$("$kurier" topics show "$topic" -o jsonl | python3 -c 'import json, sys; print(len(json.loads(sys.stdin.readline())["partitions"]))')
else
    partitions=2
fi
check "three orders of ann" add "$topic" ann -1 1 3
check "one of bob to a partition that is not there" add "$topic" bob "$partitions" 10 1
check "and two behind it" add "$topic" bob -1 11 2
check "they wait" outbox 0 -- status -o jsonl
check "all of them" holds 'it[0]["waiting"] == 6 and it[0]["oldest_ms"] >= 0'
check "an option that cannot be" outbox 3 ".lease_ms is" -- relay --lease 1ms
check "what is of the other guarantee" outbox 3 "KUR_EXACTLY_ONCE" -- relay --control x
check "likewise" outbox 3 "KUR_EXACTLY_ONCE" -- relay --drain --transaction 20s
check "a transaction that is too short" outbox 3 ".transaction_ms is" -- relay --exactly-once --drain --transaction 1ms
start relay "$kurier" outbox relay --name first --every 100ms "${database[@]}"
relay=$last
figure() { "$kurier" outbox status -o jsonl "${database[@]}" >"$work/out" && holds "$1"; } # expression
check "the outbox is empty" await 60 figure 'it[0]["waiting"] == 0 and it[0]["parked"] == 1 and it[0]["behind"] == 2 and it[0]["blocked_keys"] == 1'
check "the relay is told of" outbox 0 "first" "at least once" "0-3" -- status
check "and for programs" figure 'it[0]["relays"][0]["shards"] == [0, 1, 2, 3] and it[0]["shards"][2]["owner"] == "first"'
check "it tells how it is" await 60 has relay '3 sent, .* 0 waiting, 1 parked and 2 behind, 4 shards'
check "and what was refused" has relay 'row [0-9]+ for topic'
check "it ends when it is told to" ends $relay
check "and has gone" outbox 0 "no relay is at work" -- status
sent() { "$kurier" events tail "$topic" --from start --stop -o jsonl 2>/dev/null >"$work/out"; }
numbers() { sent && python3 - "$work/out" "$1" <<'END'
import json, sys
values = [(e["key"], json.loads(e["value"], strict=False)["n"]) for e in map(json.loads, open(sys.argv[1]))]
keys = {k: [n for key, n in values if key == k] for k, n in values}
assert keys == eval(sys.argv[2]), keys
END
}
check "what was sent" numbers '{"ann": [1, 2, 3]}'

# ---- What is parked ----

check "listed" outbox 0 "$topic/$partitions" bob "behind a row of its key" -- list
check "for programs" outbox 0 -- list -o json
check "with all of it" holds '[(r["behind"], r["attempts"]) for r in it] == [(False, 1), (True, 0), (True, 0)] and it[0]["key"] == "bob"'
check "in the order of their ids" holds 'it[0]["id"] < it[1]["id"] < it[2]["id"]'
read -r row behind _ < <(python3 -c 'import json, sys; print(*[r["id"] for r in json.load(open(sys.argv[1]))])' "$work/out")
check "so many" outbox 0 "there are more" -- list --limit 2
check "of a topic" outbox 0 "nothing is parked that goes there" -- list --topic other
check "of those that begin so" outbox 0 bob -- list --topic "$unique*"
check "shown" outbox 0 "topic         $topic" "partition     $partitions" "attempts      1" "kind = test" '"n":10' 'api-key = ***' -- show "$row"
check "nothing moves a cursor or tells a secret" not grep -qE "hunter2|s3cret|"$'\a' "$work/both"
check "as it is" outbox 0 -- show "$row" --unmask -o json
check "for programs" holds 'json.loads(it[0]["value"], strict=False)["password"] == "hunter2" and it[0]["headers"][1] == ["api-key", "s3cret"]'
check "what is behind does not go first" outbox 3 "was not refused itself: it waits behind row $row of its key" -- unpark "$behind" --execute
check "it stays" figure 'it[0]["parked"] == 1 and it[0]["behind"] == 2'
check "a dry run" outbox 0 "row $row, to $topic" "would be sent again" "--execute does that" -- unpark --all
check "does nothing" figure 'it[0]["waiting"] == 0 and it[0]["parked"] == 1'
check "unparked" outbox 0 "row $row, to $topic" "is to be sent again" -- unpark --topic "$topic" --execute
check "with those behind" figure 'it[0]["waiting"] == 3 and it[0]["parked"] + it[0]["behind"] + it[0]["blocked_keys"] == 0'
check "what is not repaired is refused again" outbox 0 -- relay --drain
check "with its key" figure 'it[0]["waiting"] == 0 and it[0]["parked"] == 1 and it[0]["behind"] == 2'
check "one that is not there, and one that is" outbox 2 "no row 99 is parked" "row $row" -- unpark 99 "$row" --execute
check "again" outbox 0 -- relay --drain -o json
check "which tells its figures" holds 'it[-1]["waiting"] == 0 and it[-1]["refused"] == 1 and it[-1]["sent"] == 0'
check "a drop that is not done" outbox 0 "would be deleted, and never sent" -- drop "$row" --reason "ticket 4711"
check "does nothing" figure 'it[0]["parked"] == 1'
check "dropped" outbox 0 "row $row, to $topic" "was dropped" "by ann: ticket 4711" -- drop "$row" --reason "ticket 4711" --who ann --execute
check "those behind it go on" outbox 0 -- relay --drain
check "in their order" numbers '{"ann": [1, 2, 3], "bob": [11, 12]}'
check "a backlog" add "$topic" dan -1 1 60
check "is drained to its end, row by row" outbox 0 "60 sent" "0 waiting" -- relay --drain --batch 1
check "another" add "$topic" dan -1 61 60
check "is drained in small pieces" outbox 0 -- relay --drain --batch-kib 1 -o json
check "of some rows each" holds 'it[-1]["sent"] == 60 and 3 <= it[-1]["batches"] < 60'
check "nothing waits" figure 'it[0]["waiting"] == 0'

# ---- Exactly once ----

if is_real; then
    check "20 more" add "$topic" cid -1 1 20
    check "sent in transactions" outbox 0 "20 sent" "0 waiting" -- relay --exactly-once --transaction 20s --drain
    check "and seen" numbers '{"ann": [1, 2, 3], "bob": [11, 12], "dan": list(range(1, 121)), "cid": list(range(1, 21))}'
    start exact "$kurier" outbox relay --exactly-once --name exact "${database[@]}"
    exact=$last
    check "it is told of" await 60 figure '[(r["relay"], r["guarantee"]) for r in it[0]["relays"]] == [("exact", "exactly once")]'
    check "and where its shards are to be found" outbox 0 "kurier groups show kurier.outbox." -- status
    check "the other guarantee is refused beside it" outbox 3 "guarantee" -- relay
    check "it ends when it is told to" ends $exact
else
    check "the embedded broker has no transactions" outbox 3 "the embedded broker has no transactions" -- relay --exactly-once
fi

# ---- Inbox ----

check "no consumers" inbox 0 "there are no consumers" -- status
check "a consumer" add joins inventory orders 7 20
check "another" add joins billing orders 0 5
check "listed" inbox 0 "inventory" "orders/7" -- status
check "for programs" inbox 0 -- status inv* -o json
check "with all of it" holds '[(r["consumer"], r["topic"], r["partition"], r["first"], r["next"], r["done"], r["open"], r["epoch"]) for r in it] == [("inventory", "orders", 7, 20, 20, 3, 1, 1)]'
check "beyond what is known" inbox 3 "would count as done" -- reset inventory orders/7 --to 30
check "a reset that is not done" inbox 0 "would begin anew at 10, in place of 20" -- reset inventory orders/7 --to 10
check "one that is" inbox 0 "begins anew at 10" "kurier offsets" -- reset inventory orders/7 --to 10 --execute
check "for programs" inbox 0 -- status inventory -o json
check "it has begun anew" holds 'it[0]["first"] == it[0]["next"] == 10 and it[0]["done"] == it[0]["open"] == 0 and it[0]["epoch"] == 2'
check "nobody" inbox 1 "nothing is kept of that" -- forget nobody
check "what would be forgotten" inbox 0 "1 partitions would be forgotten, with rows of 3 records that are done and of 1 that are open" -- forget billing orders
check "forgotten" inbox 0 "1 partitions are forgotten" -- forget billing orders/0 --execute
check "and all of another" inbox 0 "1 partitions are forgotten" -- forget inventory --execute
check "nothing is left" inbox 0 "there are no consumers" -- status
if [ "$driver" = postgres ] && command -v psql >/dev/null; then psql -X -q -c "DROP SCHEMA $SCHEMA CASCADE" "$where" 2>/dev/null; fi
