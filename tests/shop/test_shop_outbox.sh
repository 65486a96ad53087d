#!/usr/bin/env bash
# Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
# Orders that were answered 202 are in the order service's database (the argument: sqlite, postgres) and come to everybody,
# whoever was killed when: on the embedded broker, or exactly once on the real one that KURIER_BOOTSTRAP names.
. "$(dirname "$0")/../command/lib.sh"

driver=$1 rounds=4
case $driver in
sqlite) where=(--database "$work/orders.db") what=(--sqlite "$work/orders.db") ;;
postgres)
    [ -n "${KURIER_POSTGRES:-}" ] || { skip "no PostgreSQL: script/postgres run" && exit; }
    if ! "$BUILD/examples/shop/shop-order" --help | grep -q -- --postgres; then skip "there is no driver for postgres" && exit; fi
    where=(--postgres "$KURIER_POSTGRES dbname=$unique") what=(--postgres "$KURIER_POSTGRES dbname=$unique")
    psql -X -q -c "CREATE DATABASE $unique" "$KURIER_POSTGRES"
    ;;
esac
unset KURIER_SQLITE SMTP_URL
guarantee=at-least-once
if is_real; then guarantee=exactly-once && sole_inventory; fi
real_or_embedded orders:6 inventory:6
{ is_real || echo "fetch.wait.max.ms = 10"; echo "session.timeout.ms = 6000"; } >"$work/properties"

service() { # name, log, arguments…
    local name=$1 log=$2
    shift 2
    start "$log" "$BUILD/examples/shop/shop-$name" --group "$name-$unique" --properties "$work/properties" "$@"
}
port=0
order() { # log, arguments…: the order service, at the same place each time
    local log=$1
    shift
    : >"$work/$log"
    service order "$log" --port $port --guarantee $guarantee "${where[@]}" "$@"
    order=$last
    await 60 has "$log" 'takes orders at http' || return 1
    url=$(sed -n 's/^.*takes orders at \(http.*\)$/\1/p' "$work/$log" | tail -n 1)
    port=${url%/orders} port=${port##*:}
}
inventory() { # log
    : >"$work/$1"
    service inventory "$1" --database "$work/stock.db" --stock 100000 --guarantee $guarantee
    inventory=$last
}
kill_now() { # pid: as a power failure would
    kill -KILL "$1" && disown "$1" 2>/dev/null || true
    await 60 not lives "$1"
}
: >"$work/taken"
post() { # one order: its id into $work/taken when the answer is 202
    curl -sS -m 30 -w '%{http_code}\n' -H 'content-type: application/json' "$url" --data-binary \
        "{\"customer\":\"K.\",\"email\":\"k@example.org\",\"lines\":[{\"sku\":\"$unique\",\"quantity\":1,\"amount\":\"1.00\"}]}" 2>/dev/null |
        sed -n 's/.*"order_id":"\([^"]*\)".*}202$/\1/p' >>"$work/taken"
}
posts() { for _ in $(seq "$1"); do post; done; }
taken() { wc -l <"$work/taken"; }
waiting() { "$kurier" outbox status "${what[@]}" -o jsonl | python3 -c 'import json, sys; print(json.loads(sys.stdin.readline())["waiting"])'; }
waits() { [ "$(waiting)" = "$1" ]; }

more_than() { [ "$(taken)" -gt "$1" ]; }
all_letters() { # its file is there, however often it was written
    local id
    while read -r id; do [ -s "$work/mail/$id.eml" ] || return 1; done <"$work/taken"
}

# Of each order that was taken how many records stand in a topic, for who reads committed: "least most".
keys() { kcat -C -b "$KAFKA_BOOTSTRAP_SERVERS" -t "$1" -o beginning -e -q -f '%k\n' 2>/dev/null >"$work/keys"; }
counts() { # topic
    keys "$1" || return 1
    awk 'NR == FNR {n[$1] = 0; next} $1 in n {n[$1]++} END {least = 1e9; most = 0
        for (id in n) {if (n[id] < least) least = n[id]; if (n[id] > most) most = n[id]}
        print least, most}' "$work/taken" "$work/keys"
}
all_in() { # topic: no order is missing
    local found
    found=$(counts "$1") && echo "$1: least and most records of an order: $found" && [ "${found% *}" -ge 1 ]
}
once_in() { all_in "$1" && [ "$(counts "$1")" = "1 1" ]; } # topic

# ---- Killed between commit and publish: with nobody who takes it, that is certain ----

check "the order service starts without a broker" order order.1 --bootstrap 127.0.0.1:1
check "orders are taken" posts 20
check "all of them, with 202" test "$(taken)" = 20
kill_now $order
check "their events wait beside them" waits 20

inventory inventory.1
service email email --mail-dir "$work/mail"
email=$last
check "the order service starts again" order order.2
check "their events are out" await 60 waits 0
check "each once" await 60 once_in orders
check "each has its letter" await 60 all_letters # on a broker that others use there are other orders as well
check "and its answer of the inventory, once" await 60 once_in inventory

# ---- The broker stands still, and the order service is killed ----

if ! is_real; then
    broker=${pids[0]}
    freeze "$broker"
    check "orders are taken while the broker stands still" posts 10
    check "with 202 as ever" test "$(taken)" = 30
    kill_now $order
    kill -CONT "$broker"
    check "the order service starts once more" order order.3
    check "they are out" await 60 waits 0
    check "none is missing" await 60 all_in orders
fi

# ---- Killed at any moment: the relay is at work, so is the inventory ----

for round in $(seq $rounds); do
    before=$(taken)
    posts 10000 &
    posting=$!
    check "round $round: orders are taken" await 60 more_than $((before + 20))
    sleep 0.$((RANDOM % 1000))
    kill_now $order
    kill_now $inventory
    kill -TERM $posting 2>/dev/null || true # it ends by itself when nobody answers
    wait $posting 2>/dev/null || true
    check "round $round: the order service starts again" order "order.again.$round"
    inventory "inventory.again.$round"
    check "round $round: what waited is out" await 60 waits 0
done
if is_real; then often=once_in; else often=all_in; fi
come() { await "$1" $often "$2" || { all_in "$2" && return 1; }; } # seconds, topic
check "$(taken) orders are out, exactly once where there are transactions" come 90 orders
check "so are the inventory's answers" come 150 inventory
left() { python3 -c 'import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute("SELECT available FROM stock WHERE sku = ?",
    sys.argv[2:]).fetchone()[0])' "$work/stock.db" "$unique"; }
stored() { # how many orders there are in the database: one may have been taken whose answer was cut off
    case $driver in
    sqlite) python3 -c 'import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute("SELECT count(*) FROM orders").fetchone()[0])' \
        "$work/orders.db" ;;
    postgres) psql -X -A -t -c 'SELECT count(*) FROM orders' "${where[1]}" ;;
    esac
}
goods_are_gone() { [ $((100000 - $(left))) = "$(stored)" ]; }
check "each order took its goods once" await 60 goods_are_gone
check "each order has its letter" await 90 all_letters
for pid in $order $inventory $email; do check "SIGTERM ends it with 0" ends "$pid"; done
if [ "$driver" = postgres ]; then psql -X -q -c "DROP DATABASE $unique WITH (FORCE)" "$KURIER_POSTGRES"; fi
