#!/usr/bin/env bash
# Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
# How the demo ends: the email service gives up what it cannot write, is repaired, and gets it again by a redrive, of which
# nobody else sees anything. On the embedded broker, or on the real one that KURIER_BOOTSTRAP names.
. "$(dirname "$0")/../command/lib.sh"

group=email-$unique dead=orders.email-$unique.dlq
unset SMTP_URL

# What is printed, without what is another one each time, and one space for many.
same_each_time() {
    sed -E "s/$unique/ME/g; s/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/PLAN/; s/[0-9a-f]{64}/DIGEST/
        s/[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:]{8}/TIME/g; s/email\.c:[0-9]+/email.c:LINE/; s,dlq/[0-9]+/[0-9]+,dlq/PLACE,
        s/ +/ /g; s/ \$//; s/^ //"
}
prints() { # what standard input says, command…
    local status=0
    "${@}" >"$work/out" 2>"$work/err" || status=$?
    diff - <(same_each_time <"$work/out") && [ $status = 0 ] || { echo "exit status $status" && cat "$work/err" && return 1; }
}

# The group's own are there before it: that they come is a rebalance, and what is in hand then is handled again.
real_or_embedded orders:6 "$dead:6" "${dead%dlq}retry-short:6" "${dead%dlq}retry-medium:6" "${dead%dlq}retry-long:6"
note=" NOTE" members=" no member now"
if is_real; then note= members=; fi # it tells whether a group has members
# On the embedded broker a rebalance takes a second less than that.
echo "session.timeout.ms = 6000" >"$work/properties"

email() { # log, further arguments…: the email service
    local log=$1
    shift
    start "$log" "$BUILD/examples/shop/shop-email" --group "$group" --properties "$work/properties" --mail-dir "$work/mail" "$@"
    email=$last
}
order() { # its id, customer
    "$kurier" events publish orders --type shop.order.created.v1 --id "$1-$unique" --key "$1-$unique" --execute --data \
        "{\"order_id\":\"$1-$unique\",\"placed_at\":\"2026-01-31T12:00:00Z\",\"customer\":\"$2\",
          \"email\":\"$unique@example.org\",\"lines\":[{\"sku\":\"ink\",\"quantity\":1,\"amount\":\"3.00\"}],\"total\":\"3.00\"}"
}
letter() { grep -qF "$2" "$work/mail/$1-$unique.eml"; } # order, text of it

# ---- A service that cannot do it ----

check "--charset is one of two" not "$BUILD/examples/shop/shop-email" --charset latin-1 2>/dev/null
email broken --charset us-ascii
for n in 1 2 3; do check "order $n" order $n "Milena Jesenská"; done
check "an order that it can do" order 4 Max
check "has its letter" await 60 letter 4 "Dear Max,"
# Others' orders may be in the log of a real broker.
mine="payload.email = \"$unique@example.org\""
all_dead() { "$kurier" dlq groups "$dead" --where "$mine" | grep -qE '^ +3 '; }
check "the others are dead letters" await 60 all_dead
check "kurier dlq groups tells why" prints "$kurier" dlq groups "$dead" --where "$mine" <<'END'
COUNT CAUSE TYPE CODE FIRST LAST SAMPLE
3 email.charset shop.order.created.v1 email.c:LINE TIME TIME orders.email-ME.dlq/PLACE
END
check "there is no letter to her" not ls "$work/mail/1-$unique.eml"
check "the service ends" ends $email

# ---- Repaired ----

email repaired
check "the service is back" await 60 has repaired 'partitions assigned'
check "kurier redrive plan tells what would be sent" prints "$kurier" redrive plan "$dead" \
    --where "cause = \"email.charset\" and $mine" --who ann --reason "us-ascii is gone" <<END
plan PLAN
digest DIGEST
state planned
planned TIME by ann
reason us-ascii is gone
letters 3

FROM GROUP TO LETTERS$note
orders.email-ME.dlq email-ME orders.email-ME.retry-short 3$members
END
plan=$(sed -n 's/^plan  *//p' "$work/out") digest=$(sed -n 's/^digest  *\(.\{12\}\).*/\1/p' "$work/out")
start watch "$kurier" redrive watch "$plan" --every 100ms
watch=$last
check "it can be watched before it starts" await 60 has watch '^planned: 0 of 3 sent, 0 succeeded, 0 failed again, 0 pending$'
check "kurier redrive start sends them" prints "$kurier" redrive start "$plan" --digest "$digest" --canary 1 --rate 2 --who ann --execute <<'END'
done: 3 of 3 letters are sent
END
check "kurier redrive watch ends when all went through" wait $watch
check "and has seen them go" has watch '^running: .* of 3 sent'
check "to the last" prints tail -n 1 "$work/watch" <<'END'
done: 3 of 3 sent, 3 succeeded, 0 failed again, 0 pending
END
check "kurier redrive status tells it afterwards" prints "$kurier" redrive status "$plan" <<END
plan PLAN
digest DIGEST
state done
planned TIME by ann
reason us-ascii is gone
started TIME by ann
heard TIME
letters 3
acknowledged 3
succeeded 3
failed again 0
pending 0

FROM GROUP TO LETTERS$note
orders.email-ME.dlq email-ME orders.email-ME.retry-short 3$members
END
for n in 1 2 3; do check "order $n has its letter" letter $n "Dear Milena Jesenská,"; done
check "in the charset of now" letter 1 "charset=utf-8"
once() {
    kcat -C -q -t orders -b "$KAFKA_BOOTSTRAP_SERVERS" -o beginning -e -f '%k\n' >"$work/orders" || return 1
    [ "$(grep -c -- "-$unique\$" "$work/orders")" = 4 ] || { cat "$work/orders" && return 1; }
}
check "nobody else has seen an order twice" once
check "a second plan finds none of them" not "$kurier" redrive plan "$dead" --where "$mine"
check "the service ends at the end" ends $email
