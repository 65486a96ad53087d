#!/usr/bin/env bash
# Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
# `kurier events` with Avro, on the embedded broker or the real one that KURIER_BOOTSTRAP names, and a fake registry.
. "$(dirname "$0")/lib.sh"

unset KURIER_REGISTRY KURIER_REGISTRY_PROPERTIES KURIER_REGISTRY_USER_INFO KURIER_REGISTRY_TOKEN http_proxy
events() { noun=events kurier "$@"; }
cd "$work"
topic=$unique.orders
real_or_embedded "$topic:1" "$topic.g.dlq:1"

# ---- A registry ----

cat >order.avsc <<'END'
{"type":"record","name":"Order","namespace":"shop","fields":[{"name":"id","type":"string"},{"name":"total","type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}},{"name":"password","type":["null","string"],"default":null}]}
END
sed 's/"name":"id"/"name":"order"/' order.avsc >other.avsc
json() { python3 -c 'import json, sys; print(json.dumps(sys.stdin.read().strip()))' <"$1"; }
version() { echo '{"subject":"'"$1"'","version":'"$2"',"id":'"$3"',"schema":'"$(json "$4")"'}'; }
cat >answers <<END
GET /subjects/$topic-value/versions/latest 200 $(version "$topic-value" 1 7 order.avsc)
GET /subjects/odd-value/versions/latest 200 {"subject":"odd-value","version":1,"id":9,"schemaType":"JSON","schema":"{}"}
POST /subjects/$topic-value 404 {"error_code":40403,"message":"Schema not found"}
POST /subjects/$topic-value 200 $(version "$topic-value" 1 7 order.avsc)
GET /schemas/ids/7 200 {"schema":$(json order.avsc)}
GET /schemas/ids/8 404 {"error_code":40403,"message":"Schema 8 not found"}
GET /schemas/ids/10 200 {"schemaType":"JSON","schema":"{}"}
silent GET /schemas/ids/11 200 {}
END
answering answers
tail_all() { events "$@" -- tail "$topic" --from start --stop; }

# ---- publish ----

good='{"id":"o-1","total":"19.90","password":"canary"}'
check "a field that is wrong" events 3 "the data are not what $topic-value:1 says: total" -- publish "$topic" --partition 0 --schema "$topic-value" --data '{"id":"o-1","total":"x"}'
check "one that is missing" events 3 "the data are not what order.avsc says: id" -- publish "$topic" --partition 0 --schema order.avsc --wire plain --data '{"total":"1.00"}'
check "no JSON" events 3 "the data are not what" -- publish "$topic" --partition 0 --schema "$topic-value" --data '{'
check "a schema that is none of Avro's" events 1 "odd-value:1 is of kind JSON, not one of Avro's" -- publish "$topic" --partition 0 --schema odd-value --data "$good"
check "a file that is not registered" events 3 "other.avsc is not registered under $topic-value" -- publish "$topic" --partition 0 --schema ./other.avsc --data "$good"
check "a wire that is none" events 3 "--wire takes confluent, single-object or plain" -- publish "$topic" --partition 0 --schema order.avsc --wire avro --data "$good"
check "a wire without a schema" events 3 "--wire goes with --schema" -- publish "$topic" --partition 0 --wire plain --data "$good"
check "a content type beside it" events 3 "either --content-type or --schema" -- publish "$topic" --partition 0 --schema order.avsc --content-type text/plain --data "$good"
check "without a registry" env -u KURIER_REGISTRY "$kurier" events publish "$topic" --partition 0 --schema order.avsc --wire single-object --data "$good"
check "none is asked for an id" bash -c '! env -u KURIER_REGISTRY "$1" events publish "$2" --partition 0 --schema order.avsc --data "$3" 2>said && grep -q "which schema registry" said' - "$kurier" "$topic" "$good"
check "a dry run" events 0 "would be sent" -- publish "$topic" --partition 0 --schema "$topic-value" --data "$good"
check "by a subject, 0" events 0 "$topic/0/0" -- publish "$topic" --partition 0 --type shop.order.v1 --schema "$topic-value" --data "$good" --execute
check "a file that is registered, without an envelope, 1" events 0 "$topic/0/1" -- publish "$topic" --partition 0 --schema order.avsc --data "$good" --execute
check "a single object, 2" events 0 -- publish "$topic" --partition 0 --type shop.order.v1 --schema order.avsc --wire single-object --data "$good" --execute
check "plain, 3" events 0 -- publish "$topic" --partition 0 --type shop.order.v1 --schema order.avsc --wire plain --data "$good" --execute
check "JSON, 4" events 0 -- publish "$topic" --partition 0 --type shop.order.v1 --data '{"id":"o-5"}' --execute
bytes() { printf "$1" >bytes && events 0 -- publish "$topic" --partition 0 --file bytes --execute; }
check "an id that is not there, 5" bytes '\0\0\0\0\010abc'
check "what is cut, 6" bytes '\0\0\0\0\007\006o-'
check "the same with an envelope, 7" events 0 -- publish "$topic" --partition 0 --type shop.order.v1 --content-type application/avro --file bytes --execute
printf '\0\0\0\0\012{"id":"o-8"}' >bytes
check "a schema that is none of Avro's, 8" events 0 -- publish "$topic" --partition 0 --file bytes --execute
check "text, 9" events 0 -- publish "$topic" --partition 0 --data "only text" --execute
check "a tombstone, 10" events 0 -- publish "$topic" --partition 0 --key k --tombstone --execute

# ---- tail, show ----

check "tail" tail_all 0 '{"id":"o-1","total":"19.90","password":"***"}' '{"id":"o-5"}' "only text"
check "what cannot be decoded is shown with its reason" has out "/0/5 .*\(undecodable: schema id 8: .*Schema 8 not found"
check "and goes on" has out "/0/6 .*\(undecodable: schema id 7: id: "
check "a single object's schema, and a plain one's, are not known" bash -c '[ "$(grep -cE "/0/[23] .*undecodable" out)" = 2 ]'
check "secrets are masked" not says out canary
check "with --schema they are" bash -c '"$1" events tail "$2" --from start --stop --schema order.avsc --unmask >out; [ "$(grep -cF "\"password\":\"canary\"" out)" = 4 ]' - "$kurier" "$topic"
check "-o jsonl" events 0 -- tail "$topic" --from start --stop -o jsonl --schema "$topic-value"
check "is JSON as of JSON events" holds '[json.loads(e["value"])["id"] for e in it[:5]] == ["o-1"] * 4 + ["o-5"]'
check "with the schema" holds '[e["schema"] for e in it[:2]] == ["schema id 7"] * 2 and it[2]["schema"].startswith("schema fingerprint ") and it[3]["schema"] == "no schema" and it[4]["schema"] is None'
check "or the reason" holds 'it[5]["undecodable"].startswith("schema id 8: ") and it[5]["schema"] == "schema id 8"'
check "nothing is wrong with all others" holds '[e["offset"] for e in it if e["undecodable"]] == [5, 6, 7, 8]'
check "filters see what it says" events 0 -- tail "$topic" --from start --stop -o jsonl --where 'payload.total = "19.90"'
check "of two of them" holds '[e["offset"] for e in it] == [0, 1]'
check "show" events 0 "schema        schema id 7" '"total":"19.90"' -- show "$topic/0/0"
check "show of what cannot be decoded" events 0 "undecodable   schema id 8: " -- show "$topic/0/5"
check "without a registry" bash -c 'env -u KURIER_REGISTRY "$1" events tail "$2" --from start --stop >out; grep -qF "{\"id\":\"o-5\"}" out && grep -E "/0/0 .*undecodable: schema id 7: --registry, or --schema, says where to look" out' - "$kurier" "$topic"

check "a dead letter" events 0 -- publish "$topic.g.dlq" --partition 0 --type shop.order.v1 --schema "$topic-value" --data "$good" --execute
check "is shown so, too" kurier 0 "schema        schema id 7" '"total":"19.90"' -- dlq show "$topic.g.dlq/0/0"
check "and for programs" kurier 0 -- dlq show "$topic.g.dlq/0/0" -o jsonl
check "with its schema" holds 'json.loads(it[0]["value"])["id"] == "o-1" and it[0]["schema"] == "schema id 7" and it[0]["undecodable"] is None'

# ---- A registry that is away ----

printf '\0\0\0\0\013abc' >bytes
check "of a schema that the registry is silent about, 11" events 0 -- publish "$topic" --partition 0 --file bytes --execute
check "another, 12" events 0 -- publish "$topic" --partition 0 --file bytes --execute
check "one that is known, 13" events 0 -- publish "$topic" --partition 0 --schema "$topic-value" --data "$good" --execute
check "tail goes on" events 0 "/0/13 " -- tail "$topic" --from start --stop --timeout 2
check "with the reason" bash -c '[ "$(grep -cE "/0/1[12] .*undecodable: schema id 11: " out)" = 2 ] && grep -qE "/0/13 .*19.90" out'
check "it has waited once" test "$(asked "GET /schemas/ids/11")" = 1
