#!/usr/bin/env bash
# Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
# `kurier schema` and `kurier events` with a real registry, which KURIER_REGISTRY names: script/registry run. Events of a
# program in Avro are seen by hand, and the other way round.
. "$(dirname "$0")/lib.sh"

[ -n "${KURIER_REGISTRY:-}" ] || { skip "no schema registry: script/registry run" && exit 0; }
schema() { noun=schema kurier "$@"; }
events() { noun=events kurier "$@"; }
cd "$work"
subject=$unique-value

order() { # file, fields behind the first
    echo '{"type":"record","name":"Order","namespace":"shop","fields":[{"name":"id","type":"string"}'"${2:+,$2}"']}' >"$1"
}
order first.avsc
order second.avsc '{"name":"note","type":["null","string"],"default":null}'
order needy.avsc '{"name":"must","type":"long"}'

# ---- A subject's life ----

check "a new one" schema 0 "new" -- check "$subject" first.avsc
check "is registered" schema 0 -- register "$subject" first.avsc --execute -o json
check "as its first version" holds 'it[0]["version"] == 1 and it[0]["state"] == "registered" and it[0]["id"] > 0'
id=$(python3 -c 'import json; print(json.load(open("out"))[0]["id"])')
check "twice is once" schema 0 "there already" -- register "$subject" first.avsc --execute
check "what it would take" schema 0 "compatible" -- check "$subject" second.avsc
check "and what not, by whose word ever" schema 1 "NOT compatible" "must: the writer's record shop.Order has no such field" "the registry: " -- check "$subject" needy.avsc
mkdir schemas
cp second.avsc "schemas/$subject.avsc"
cp first.avsc "schemas/$unique-other.avsc"
check "a directory" schema 0 -- register --dir schemas --execute -o jsonl
check "each has its own" holds '[(s["subject"], s["version"]) for s in it] == [("'"$unique-other"'", 1), ("'"$subject"'", 2)]'
check "list" schema 0 "$subject" shop.Order -- list "$unique*"
check "show" schema 0 "$subject:2" "versions      1 2" '"note"' -- show "$subject"
check "by its id" schema 0 "id $id" -- show "$id"
check "diff" schema 0 "field added" "full      yes" -- diff "$subject:1" "$subject:2"
check "one that is not there" schema 1 "nothing-$unique" -- show "nothing-$unique"
echo '{"type":"record","name":"shop.Cart","fields":[{"name":"order","type":"shop.Order"}]}' >cart.avsc
check "a reference" schema 0 -- register "$unique-cart" cart.avsc --reference "shop.Order=$subject:1" --execute
check "is shown" schema 0 "shop.Order = $subject:1" -- show "$unique-cart"

# ---- Events ----

embedded readings:1 orders:1 "$unique:1"
if [ -x "$BUILD/examples/avro" ]; then
    check "a program publishes in Avro, and registers" "$BUILD/examples/avro" 3
    check "they are seen" events 0 "roof 0" "19.50" -- tail readings --from start --stop
    check "with their schema" events 0 -- tail readings --from start --stop -o jsonl
    check "as JSON" holds '[json.loads(e["value"])["celsius"] for e in it] == ["19.50", "19.51", "19.52"] and all(e["schema"].startswith("schema id ") for e in it)'
    check "the subject has the type's schema" schema 0 weather.Reading "where it hangs" -- show readings-value
    start avro "$BUILD/examples/avro"
    reader=$last
    await 30 has avro 'roof 2'
    check "one by hand" events 0 -- publish readings --type weather.reading.v1 --schema readings-value --key tower --execute \
        --data '{"sensor":"tower","read_at":"2026-11-29T12:00:00Z","celsius":"-3.25","remark":null}'
    check "is read by the program" await 30 has avro '^tower: -3.25 °C'
    check "which ends" ends $reader
fi
shop=$BUILD/examples/shop
if [ -x "$shop/shop-order" ]; then
    with=(--bootstrap "$KAFKA_BOOTSTRAP_SERVERS" --registry "$KURIER_REGISTRY")
    start order "$shop/shop-order" --port 0 --database shop.db "${with[@]}"
    started=($last)
    start email "$shop/shop-email" --mail-dir mail "${with[@]}"
    started+=($last)
    await 30 has order 'takes orders at'
    url=$(sed -n 's/^.*\(http:[^ ]*\)$/\1/p' order | tail -n 1)
    check "the shop takes an order" bash -c 'curl -sS --fail-with-body --noproxy "*" -H "content-type: application/json" "$1" -d "{\"customer\":\"Milena\",\"email\":\"m@example.org\",\"lines\":[{\"sku\":\"tea\",\"amount\":\"8.50\"}]}"' - "$url"
    check "its event is in Avro" await 30 bash -c '"$1" events tail orders --from start --stop -o jsonl | grep -q "schema id .*Milena\|Milena.*schema id "' - "$kurier"
    check "and is read: there is a letter" await 60 bash -c 'ls mail/*.eml'
    mkdir published
    check "what the service publishes" "$shop/shop-order" --schemas published
    check "is registered as it is" schema 0 "there already" -- check --dir published
    for pid in "${started[@]}"; do check "it ends" ends "$pid"; done
fi
check "JSON becomes Avro" events 0 -- publish "$unique" --schema "$subject" --data '{"id":"o-1"}' --execute
check "and JSON again, with its default" events 0 '{"id":"o-1","note":null}' -- tail "$unique" --from start --stop
