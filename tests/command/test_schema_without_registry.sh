#!/usr/bin/env bash
# Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
# A `kurier` (the argument) that was built without the schema registry's client says what to do, and reads files.
. "$(dirname "$0")/lib.sh"

kurier=$(realpath "$1")
unset KURIER_REGISTRY KURIER_REGISTRY_PROPERTIES
url=http://127.0.0.1:1
why=("built without the schema registry's client" "-Dregistry=enabled")
cd "$work"
echo '{"type":"record","name":"shop.Order","fields":[{"name":"id","type":"string"}]}' >order.avsc

check "schema list" kurier 3 "${why[@]}" -- schema list --registry $url
check "schema show of a subject" kurier 3 "${why[@]}" -- schema show orders-value --registry $url
check "schema check" kurier 3 "${why[@]}" -- schema check orders-value order.avsc --registry $url
check "events tail" kurier 3 "${why[@]}" -- events tail orders --registry $url --bootstrap 127.0.0.1:1
check "events show" kurier 3 "${why[@]}" -- events show orders/0/0 --registry $url --bootstrap 127.0.0.1:1
check "dlq show" kurier 3 "${why[@]}" -- dlq show orders/0/0 --registry $url --bootstrap 127.0.0.1:1
KURIER_REGISTRY=$url
export KURIER_REGISTRY
check "named by the environment" kurier 3 "${why[@]}" -- schema list
check "a file is read" kurier 0 "shop.Order" -- schema show ./order.avsc
check "and compared" kurier 0 "the same" -- schema diff ./order.avsc ./order.avsc
