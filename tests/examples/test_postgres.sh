#!/usr/bin/env bash
# Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
# The example of an outbox in PostgreSQL, under script/postgres run.
[ -n "${KURIER_POSTGRES:-}" ] || exit 77
. "$(dirname "$0")/../command/lib.sh"

example=$BUILD/examples/outbox_postgres
embedded boxes:3
broker=$last
psql -X -q -c "CREATE DATABASE $unique" "$KURIER_POSTGRES"
where="$KURIER_POSTGRES dbname=$unique"

check "outbox_postgres --help" sh -c "'$example' --help | grep -q '^usage: .*outbox_postgres'"
check "outbox_postgres is a page" test "$(wc -l <"$SOURCE/examples/outbox_postgres.c")" -lt 80
check "boxes are moved without a broker" env KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:1 "$example" "$where" 70
start relay "$example" "$where"
relay=$last
check "and again" "$example" "$where" 20
check "then there are not enough" ends_with 1 "$example" "$where" 50
check "and it is told why" says "$work/err" boxes_now_check
check "and again" "$example" "$where" 10
events() { kcat -C -b "$KAFKA_BOOTSTRAP_SERVERS" -t boxes -o beginning -e -q -f '%k %s\n' 2>/dev/null >"$work/events"; }
of() { # account: what its events say, in their order
    sed -n "s/^$1 .*\"by\":\([-0-9]*\),\"now\":\([0-9]*\).*/\1=\2/p" "$work/events" | tr '\n' ' '
}
are_there() { events && [ "$(of north)" = "-70=30 -20=10 -10=0 " ] && [ "$(of south)" = "70=170 20=190 10=200 " ]; }
check "each account tells of its changes, in their order, and of no other" await 60 are_there
for pid in $relay $broker; do check "SIGTERM ends it with 0" ends $pid; done
psql -X -q -c "DROP DATABASE $unique WITH (FORCE)" "$KURIER_POSTGRES"
