#!/usr/bin/env bash
# Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
# `kurier schema` as a person uses it, on a fake registry that answers what is written here, and without any.
. "$(dirname "$0")/lib.sh"

unset KURIER_REGISTRY KURIER_REGISTRY_PROPERTIES KURIER_REGISTRY_USER_INFO KURIER_REGISTRY_TOKEN http_proxy
schema() { noun=schema kurier "$@"; }
cd "$work"

# ---- Schemas ----

order() { # file, fields behind the first
    echo '{"type":"record","name":"Order","namespace":"shop","fields":[{"name":"id","type":"string"}'"${2:+,$2}"']}' >"$1"
}
decimal() { echo '{"name":"total","type":{"type":"bytes","logicalType":"decimal","precision":16,"scale":'"$1"'}}'; }
order first.avsc "$(decimal 2)"
order second.avsc "$(decimal 2),"'{"name":"note","type":["null","string"],"default":null}'
order scaled.avsc "$(decimal 3)"
order needy.avsc "$(decimal 2),"'{"name":"must","type":"long"}'
order renamed.avsc "$(decimal 2 | sed 's/"name":"total"/"name":"sum","aliases":["total"]/')"
echo '{"type":"record","name":"Order","fields":[{"name":"a","type":"strange"}]}' >broken.avsc
echo '{"type":"record","name":"shop.Cart","fields":[{"name":"order","type":"shop.Order"}]}' >cart.avsc

# ---- Without a registry ----

check "which registry?" schema 3 "--registry or KURIER_REGISTRY says it" -- list
check "a URL that is none" schema 3 "one of them is no URL" -- list --registry nonsense
check "a password in a URL" schema 3 "users and passwords belong into" -- list --registry http://me:canary@127.0.0.1:1
check "is not shown" not says both canary
check "nobody answers" schema 1 "127.0.0.1:1" -- list --registry http://127.0.0.1:1 --timeout 2
check "which schema?" schema 3 "which schema?" -- show
check "a file that is not there" schema 1 "./no.avsc: No such file" -- show ./no.avsc
check "a schema that is none" schema 1 "broken.avsc: fields[0].type:" -- show broken.avsc
check "a file" schema 0 "shop.Order" "fingerprint   " '"scale": 2' -- show first.avsc
check "its canonical form" schema 0 '{"name":"shop.Order","type":"record","fields":[{"name":"id","type":"string"},{"name":"total","type":"bytes"}]}' -- show first.avsc --canonical
check "its text" schema 0 -- show first.avsc --text
check "as it is" bash -c 'diff <(cat first.avsc; echo) out'
check "not both" schema 3 "either --text or --canonical" -- show first.avsc --text --canonical
check "-o json" schema 0 -- show first.avsc -o json
check "has all of it" holds 'it[0]["name"] == "shop.Order" and it[0]["id"] is None and len(it[0]["fingerprint"]) == 16 and "decimal" in it[0]["schema"]'
check "a file on standard input" bash -c '"$1" schema show - <first.avsc | grep -q shop.Order' - "$kurier"

check "diff of which?" schema 3 "which two schemas?" -- diff first.avsc
check "an added field" schema 0 "field added" "union of null, string = null" "backward  yes  second.avsc reads what first.avsc wrote" "full      yes" -- diff first.avsc second.avsc
check "one without a default" schema 0 "backward  NO   needy.avsc does not read what first.avsc wrote: must: " "there is no default" "forward   yes" -- diff first.avsc needy.avsc
check "a renamed one" schema 0 "renamed" "total" "sum" "backward  yes" "forward   NO" -- diff first.avsc renamed.avsc
check "another scale" schema 0 "decimal(16, 3)" "total: the writer's decimal(16, 2) cannot be read as decimal(16, 3)" -- diff first.avsc scaled.avsc
check "nothing" schema 0 "Nothing that counts has changed" "the same" -- diff first.avsc first.avsc
check "a level that is kept" schema 0 -- diff first.avsc needy.avsc --level forward
check "and one that is not" schema 1 -- diff first.avsc needy.avsc --level backward
check "neither direction is enough for full" schema 1 -- diff first.avsc needy.avsc --level FULL
check "nor the other" schema 1 -- diff first.avsc renamed.avsc --level full
check "a level that is none" schema 3 "--level takes backward, forward or full" -- diff first.avsc needy.avsc --level all
check "diff -o jsonl" schema 0 -- diff first.avsc needy.avsc -o jsonl
check "has the changes" holds 'it[0]["changes"] == [{"change": "field added", "path": "must", "before": None, "after": "long"}] and it[0]["backward"]["readable"] is False and it[0]["forward"]["reason"] is None'

# ---- What the fake one answers ----

json() { python3 -c 'import json, sys; print(json.dumps(sys.stdin.read().strip()))' <"$1"; }
missing='{"error_code":40403,"message":"Schema not found"}'
version() { echo '{"subject":"'"$1"'","version":'"$2"',"id":'"$3"',"schema":'"$(json "$4")"'}'; }
cat >answers <<END
GET /subjects 200 ["orders-value","carts-value","odd\u001b[31m","gone-value"]
GET /subjects/orders-value/versions 200 [1,2]
GET /subjects/orders-value/versions/1 200 $(version orders-value 1 11 first.avsc)
GET /subjects/orders-value/versions/2 200 $(version orders-value 2 12 second.avsc)
GET /subjects/orders-value/versions/latest 200 $(version orders-value 2 12 second.avsc)
GET /subjects/orders-value/versions/1?deleted=true 200 $(version orders-value 1 11 first.avsc)
GET /schemas/ids/11 200 {"schema":$(json first.avsc)}
GET /schemas/guids/3f2b1c00-0000-4000-8000-000000000001 200 {"schema":$(json first.avsc)}
GET /subjects/carts-value/versions 200 [1]
GET /subjects/carts-value/versions/1 200 {"subject":"carts-value","version":1,"id":13,"schema":$(json cart.avsc),"references":[{"name":"shop.Order","subject":"orders-value","version":1}]}
GET /subjects/carts-value/versions/latest 200 {"subject":"carts-value","version":1,"id":13,"schema":$(json cart.avsc),"references":[{"name":"shop.Order","subject":"orders-value","version":1}]}
GET /subjects/odd%1B%5B31m/versions/latest 200 {"subject":"odd","version":1,"id":14,"schemaType":"PROTOBUF","schema":"syntax = 1"}
GET /subjects/gone-value/versions/latest 404 {"error_code":40401,"message":"gone"}
GET /config/orders-value?defaultToGlobal=true 200 {"compatibilityLevel":"BACKWARD"}
GET /config/carts-value?defaultToGlobal=true 200 {"compatibilityLevel":"NONE"}
GET /config/new-value?defaultToGlobal=true 200 {"compatibilityLevel":"BACKWARD"}
GET /config 200 {"compatibilityLevel":"FULL"}
GET /subjects/new-value/versions 404 {"error_code":40401,"message":"no such subject"}
POST /subjects/new-value 404 $missing
GET /config/fresh-value?defaultToGlobal=true 200 {"compatibilityLevel":"BACKWARD"}
GET /subjects/fresh-value/versions 404 {"error_code":40401,"message":"no such subject"}
POST /subjects/fresh-value 404 $missing
POST /subjects/fresh-value 200 $(version fresh-value 1 21 first.avsc)
POST /subjects/fresh-value/versions 200 {"id":21}
POST /subjects/orders-value 404 $missing
POST /compatibility/subjects/orders-value/versions?verbose=true 200 {"is_compatible":true,"messages":[]}
POST /subjects/carts-value 404 $missing
POST /compatibility/subjects/carts-value/versions?verbose=true 200 {"is_compatible":false,"messages":["because of a rule"]}
GET /subjects/there-value/versions 200 [1]
GET /config/there-value?defaultToGlobal=true 200 {"compatibilityLevel":"FULL_TRANSITIVE"}
POST /subjects/there-value 200 $(version there-value 1 31 first.avsc)
GET /subjects/full-value/versions 200 [1,2]
GET /config/full-value?defaultToGlobal=true 200 {"compatibilityLevel":"FULL_TRANSITIVE"}
POST /subjects/full-value 404 $missing
GET /subjects/full-value/versions/1 200 $(version full-value 1 41 needy.avsc)
GET /subjects/full-value/versions/2 200 $(version full-value 2 42 first.avsc)
POST /compatibility/subjects/full-value/versions?verbose=true 200 {"is_compatible":false,"messages":["reader lacks"]}
GET /config/secret-value?defaultToGlobal=true 200 {"compatibilityLevel":"BACKWARD"}
echo POST /subjects/secret-value 401 -
GET /config/slow-value?defaultToGlobal=true 200 {"compatibilityLevel":"BACKWARD"}
POST /subjects/slow-value 404 $missing
GET /subjects/slow-value/versions 404 {"error_code":40401,"message":"no such subject"}
silent POST /subjects/slow-value/versions 200 {}
END
answering answers

# ---- list, show ----

check "list" schema 0 "orders-value" "12" "shop.Order" "PROTOBUF" "carts-value" "shop.Cart" -- list
check "no order of others reaches the terminal" not grep -q "$(printf '\033')" out
check "those named" schema 0 "carts-value" -- list 'c*'
check "and no others" not says out orders-value
check "none of them" schema 0 "no subjects of these names" -- list none
check "-o json" schema 0 -- list 'orders*' gone-value -o json
check "has them" holds 'it == [{"subject": "orders-value", "version": 2, "id": 12, "kind": "AVRO", "name": "shop.Order"}, {"subject": "gone-value"}]'
before=$(asked "GET /subjects/carts-value/versions/latest")
check "names alone" schema 0 carts-value -- list --brief
check "are one question" test "$(asked "GET /subjects/carts-value/versions/latest")" = "$before"

check "show" schema 0 "orders-value:2" "id            12" "versions      1 2" "level         BACKWARD" '"note"' -- show orders-value
check "a version" schema 0 "orders-value:1" "id            11" -- show orders-value:1
check "the latest" schema 0 "orders-value:2" -- show orders-value:latest
check "an id" schema 0 "id 11" shop.Order -- show 11
check "a GUID" schema 0 "GUID 3f2b1c00" shop.Order -- show 3f2b1c00-0000-4000-8000-000000000001
check "references" schema 0 "references    shop.Order = orders-value:1" -- show carts-value
check "in the canonical form they are there" schema 0 '{"name":"order","type":{"name":"shop.Order","type":"record"' -- show carts-value --canonical
check "what is none of Avro's" schema 1 "PROTOBUF, which has no canonical form" -- show $'odd\033[31m' --canonical
check "one that is not there" schema 1 "gone" -- show gone-value
check "-o jsonl" schema 0 -- show carts-value -o jsonl
check "has the references" holds 'it[0]["references"] == [{"name": "shop.Order", "subject": "orders-value", "version": 1}] and it[0]["level"] == "NONE"'
check "diff of a version and a file" schema 0 "backward  yes  ./second.avsc reads what orders-value:1 wrote" -- diff orders-value:1 ./second.avsc
check "of an id and a subject" schema 0 "field added" "id 11" -- diff 11 orders-value

# ---- check ----

check "a subject and no file" schema 3 "which subject, and which file?" -- check orders-value
check "both a directory and a subject" schema 3 "either --dir, or SUBJECT and FILE" -- check orders-value first.avsc --dir .
check "a reference that is none" schema 3 "--reference needs NAME=SUBJECT:VERSION" -- check carts-value cart.avsc --reference shop.Order=orders-value
check "compatible" schema 0 "compatible" BACKWARD -- check orders-value renamed.avsc
check "not, by a path and a rule" schema 1 "NOT compatible" "it does not read what version 2 wrote: must: the writer's record shop.Order has no such field, and there is no default" -- check orders-value needy.avsc
check "the registry does not know of it" says out "the registry would take it"
check "a scale that changes" schema 1 "total: the writer's decimal(16, 2) cannot be read as decimal(16, 3)" -- check orders-value scaled.avsc
check "both directions, all versions" schema 1 "version 1 does not read what it writes: must: " "the registry: reader lacks" -- check full-value first.avsc
check "new" schema 0 "new" -- check new-value first.avsc
check "there already" schema 0 "there already" "31" -- check there-value first.avsc
check "level NONE: the registry's word" schema 1 "the registry: because of a rule" "what the registry takes is all that counts" -- check carts-value first.avsc
check "a reference" schema 1 "NOT compatible" -- check carts-value cart.avsc --reference shop.Order=orders-value:1
check "goes along" grep -qF '"references":[{"name":"shop.Order","subject":"orders-value","version":1}]' <(asked last)
check "without it there is no schema" schema 1 'cart.avsc: fields[0].type:' -- check carts-value cart.avsc
check "--normalize" schema 0 -- check there-value first.avsc
mkdir dir none
cp first.avsc dir/there-value.avsc
cp needy.avsc dir/orders-value.avsc
touch dir/readme.txt dir/.hidden.avsc
check "a directory" schema 1 "there-value" "orders-value" "NOT compatible" "must: " -- check --dir dir
check "-o json" schema 1 -- check --dir dir -o json
check "has all of it" holds '[(c["subject"], c["state"], c["compatible"], len(c["reasons"])) for c in it] == [("orders-value", "NOT compatible", False, 2), ("there-value", "there already", True, 0)]'
cp renamed.avsc dir/orders-value.avsc
check "one that is compatible" schema 0 -- check --dir dir
echo nonsense >dir/there-value.avsc
check "a file that is no schema" schema 1 "dir/there-value.avsc: " "orders-value" "unknown" -- check --dir dir
check "a directory without any" schema 1 "none has no file SUBJECT.avsc" -- check --dir none
check "one that is not there" schema 1 "No such file" -- check --dir nowhere

# ---- register ----

check "a dry run" schema 0 "new" "1 would be registered; --execute does it" -- register new-value first.avsc
check "has registered nothing" test "$(asked "POST /subjects/new-value/versions")" = 0
check "what is not compatible" schema 1 "NOT compatible" "not all was registered" -- register orders-value needy.avsc --execute
check "is not registered" test "$(asked "POST /subjects/orders-value/versions")" = 0
check "registered" schema 0 -- register fresh-value first.avsc --execute -o json
check "with version and id" holds 'it[0]["version"] == 1 and it[0]["id"] == 21'
check "there already" schema 0 "there already" "31" -- register there-value first.avsc --execute
check "no answer: it may have been registered" schema 4 -- register slow-value first.avsc --execute --timeout 1

# ---- Log-in ----

printf '# ours\n\nurl = %s\nbasic.auth.user.info = alice:canary-alice\n' "$KURIER_REGISTRY" >registry.conf
check "a file's" schema 0 -- list --brief --registry-properties registry.conf
basic() { printf %s "$1" | base64; }
check "log-in is sent" grep -qF "Authorization: Basic $(basic alice:canary-alice)" <(asked last)
check "also named by the environment" env KURIER_REGISTRY_PROPERTIES=registry.conf "$kurier" schema list --brief
check "is sent" grep -qF "$(basic alice:canary-alice)" <(asked last)
check "the environment's" env KURIER_REGISTRY_USER_INFO=bob:canary-bob "$kurier" schema list --brief
check "is sent" grep -qF "$(basic bob:canary-bob)" <(asked last)
check "a token" env KURIER_REGISTRY_TOKEN=canary-token "$kurier" schema list --brief --registry-set bearer.auth.logical.cluster=lsrc-1
check "is sent" grep -qF "Authorization: Bearer canary-token" <(asked last)
check "with its cluster" grep -qiF "target-sr-cluster: lsrc-1" <(asked last)
check "--registry-set is over the file" schema 0 -- list --brief --registry-properties registry.conf --registry-set schema.registry.basic.auth.user.info=carol:canary-carol
check "is sent" grep -qF "$(basic carol:canary-carol)" <(asked last)
check "a log-in that is refused, and sent back" schema 1 "secret-value" -- check secret-value first.avsc --registry-properties registry.conf --verbose
check "is not shown" not grep -qE "canary|$(basic alice:canary-alice)" both
check "over http to others" schema 3 "--allow-clear-text" -- list --registry http://registry.example --registry-properties registry.conf
printf 'url = x\nbasic.auth.user.info = canary\n' >wrong.conf
check "a log-in without a colon" schema 3 "wrong.conf:2: basic.auth.user.info is a user and a password" -- list --registry-properties wrong.conf
check "is not shown" not says both canary
printf 'sasl.password = canary\n' >wrong.conf
check "a property that is none" schema 3 'wrong.conf:1: "sasl.password" is no property of a schema registry' -- list --registry-properties wrong.conf
check "its value is not shown" not says both canary
printf 'canary\n' >wrong.conf
check "a line that is none" schema 3 'wrong.conf:1: a line is `name = value`' -- list --registry-properties wrong.conf
check "nor this" not says both canary
check "a file of authorities that is not there" schema 3 "nowhere.pem cannot be read" -- list --registry-set ssl.ca.location=nowhere.pem
