#!/usr/bin/env bash
# Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
# The shop's services as processes, on the embedded broker or on the real one that KURIER_BOOTSTRAP names.
. "$(dirname "$0")/../processes.sh"

shop=$BUILD/examples/shop kurier=$BUILD/tools/kurier/kurier
unique=t$$x$RANDOM
unset SMTP_URL KAFKA_BOOTSTRAP_SERVERS

url_of() { sed -n 's/^.*\(http:[^ ]*\)$/\1/p' "$work/$1" | tail -n 1; }
fails_with() { # status, command…
    local expected=$1 status=0
    shift
    "$@" || status=$?
    [ $status = "$expected" ] || { echo "exit status $status, expected $expected" && return 1; }
}

services=(order order-sync email inventory fraud shipping analytics)

# ---- Command lines ----

helps() { # program
    "$@" --help >"$work/help" && says "$work/help" usage: && says "$work/help" --help
}
refuses() { # status, text, command…
    local status=$1 text=$2
    shift 2
    fails_with "$status" "$@" >"$work/refused" 2>&1 && says "$work/refused" "$text"
}
for name in "${services[@]}" load; do
    check "shop-$name --help" helps "$shop/shop-$name"
    check "shop-$name refuses an unknown flag" refuses 2 'no such flag: "--nonsense"' "$shop/shop-$name" --nonsense 1
done
check "a flag without its value" refuses 2 'a value is missing behind: "--group"' "$shop/shop-fraud" --group
check "a number that is none" refuses 2 '--slow-ms is not a number from 0 to 60000: "soon"' "$shop/shop-fraud" --slow-ms soon
check "no orders at once" refuses 2 '--concurrency is not a number from 1 to 1000: "0"' "$shop/shop-fraud" --concurrency 0
check "no Kafka is named" refuses 1 'no bootstrap servers' "$shop/shop-fraud"
check "kurier --help" helps "$kurier"
check "kurier broker --help" helps "$kurier" broker
check "kurier broker tells its limits" says "$work/help" "transactions: aborted records are visible"
check "kurier without a noun" refuses 3 "usage: kurier" "$kurier"
check "kurier with an unknown noun" refuses 3 'there is no noun "brocker"' "$kurier" brocker
check "kurier broker with a wrong topic" refuses 3 'the number of partitions is not 1 to 1000' "$kurier" broker --topic a:0
check "kurier broker with a name that Kafka refuses" refuses 1 'A-Z a-z 0-9' "$kurier" broker --topic 'a b'

mkdir "$work/schemas"
check "shop-inventory writes its schemas" "$shop/shop-inventory" --schemas "$work/schemas"
check "each of them" test "$(ls "$work/schemas")" = "inventory-shop.inventory.inventory_rejected.avsc
inventory-shop.inventory.inventory_reserved.avsc"
check "as they are" "$kurier" schema show "$work/schemas/inventory-shop.inventory.inventory_reserved.avsc"
check "a directory that is not there" refuses 1 'nowhere/orders-shop.order.order_created.avsc: No such file' "$shop/shop-order" --schemas "$work/nowhere"

short() { # each service is a page of a book
    local name lines
    for name in order order_sync email inventory fraud shipping analytics; do
        lines=$(wc -l <"$SOURCE/examples/shop/$name.c")
        [ "$lines" -lt 150 ] || { echo "$name.c has $lines lines" && return 1; }
    done
}
check "each service is shorter than 150 lines" short

# ---- Started ----

if [ -n "${KURIER_BOOTSTRAP:-}" ]; then
    bootstrap=$KURIER_BOOTSTRAP
    sole_inventory
    : >"$work/properties"
    for topic in orders inventory; do
        check "Kafka makes the topic $topic" await 60 has_leader $topic
    done
else
    start broker "$kurier" broker --topic orders:6 --topic=inventory:3
    broker=$last
    await 60 has broker ':[0-9]+$'
    bootstrap=$(head -n 1 "$work/broker")
    echo "fetch.wait.max.ms = 10" >"$work/properties" # it does not wake fetches that wait
    partitions() { kcat -L -b "$bootstrap" -t "$1" | grep -q "\"$1\" with $2 partitions"; }
    check "kurier broker prints its address first" grep -qE '^127\.0\.0\.1:[0-9]+$' <(head -n 1 "$work/broker")
    check "kurier broker makes topics" partitions orders 6
    check "kurier broker takes --topic=…" partitions inventory 3
fi
export KAFKA_BOOTSTRAP_SERVERS=$bootstrap

declare -A pid
service() { # name, arguments…: a member of a group of this test's own
    local name=$1
    shift
    start "$name" "$shop/shop-$name" --group "$name-$unique" --properties "$work/properties" "$@"
    pid[$name]=$last
}
service order --port 0 --database "$work/orders.db"
service email --mail-dir "$work/mail"
service inventory --database "$work/stock.db" --stock 100
service fraud --concurrency 4 --as fraud.1
for name in shipping analytics; do service $name; done
check "the order service listens" await 60 has order 'takes orders at http'
url=$(url_of order)
for name in order email inventory fraud shipping analytics; do
    check "$name is a member of its group" await 60 has $name 'partitions assigned'
done

# ---- One order ----

good='{"customer":"Milena","email":"milena@example.org","lines":[{"sku":"tea","quantity":2,"amount":"8.50"}]}'
json='content-type: application/json'
post() { # body, further arguments of curl…; prints the whole answer
    local body=$1
    shift
    curl -sS -i -m 30 -H "$json" --data-binary "$body" "$@" "$url" | tr -d '\r'
}
answers() { # status, text, command…
    local status=$1 text=$2
    shift 2
    "$@" >"$work/answer" || true
    sed '/^HTTP.* 100 /,/^$/d' "$work/answer" | head -n 1 | grep -q " $status " || { cat "$work/answer" && return 1; }
    says "$work/answer" "$text"
}
id_of() { sed -n 's/.*"order_id":"\([^"]*\)".*/\1/p' "$work/answer"; }
get() { curl -sS -i -m 30 "$@" | tr -d '\r'; }

check "POST /orders answers 202" answers 202 '"state":"accepted"' post "$good"
id=$(id_of)
check "the order has an id" test ${#id} = 36
check "202 says where to ask" says "$work/answer" "Location: /orders/$id"
for name in order email inventory fraud shipping analytics; do
    check "the order reaches $name" await 60 has $name "  ${id: -6}  "
done
check "a service calls itself as it is told" has fraud '  fraud\.1  '
check "shipping hears of the inventory's event" await 60 has shipping "${id: -6}  parcel handed"
check "a letter is written" await 60 test -s "$work/mail/$id.eml"
check "the letter is for the customer" says "$work/mail/$id.eml" "To: <milena@example.org>"
is_reserved() { answers 200 '"state":"reserved"' get "$url/$id"; }
check "GET /orders/{id} hears of it too" await 60 is_reserved
check "GET /orders/{id} has the order" answers 200 '"customer":"Milena"' get "$url/$id"

# ---- What HTTP brings in ----

check "truncated JSON" answers 400 '"status":400' post '{"customer":"Milena","em'
check "no JSON at all" answers 400 '"status":400' post 'hello'
check "an empty body" answers 400 '"status":400' post ''
check "a field of the wrong kind is named" answers 400 'lines[0].quantity: expected integer, found string' \
    post '{"customer":"M","email":"m@x","lines":[{"sku":"tea","quantity":"2","amount":"8.50"}]}'
check "a field below its least value is named" answers 400 'lines[1].quantity' \
    post '{"customer":"M","email":"m@x","lines":[{"sku":"a","amount":"1.00"},{"sku":"b","quantity":0,"amount":"1.00"}]}'
check "a missing field is named" answers 400 'email' post '{"customer":"M","lines":[]}'
check "a name twice" answers 400 'duplicate object key' post '{"customer":"M","customer":"N"}'
check "invalid UTF-8" answers 400 '"status":400' post $'{"customer":"\xff\xfe","email":"m@x","lines":[]}'
printf '%0.s[' $(seq 20000) >"$work/deep"
check "deep nesting" answers 400 '"status":400' post "@$work/deep"
check "another content type" answers 415 'content-type: application/json' \
    curl -sS -i -m 30 -H 'content-type: text/plain' -d "$good" "$url"
check "another path" answers 404 'there is nothing at /nowhere' get "${url%/orders}/nowhere"
check "an order that never was" answers 404 'no such order' get "$url/01a20d8e-8468-76d0-9c14-453634e91a9c"
check "GET /orders" answers 405 'Allow: POST' get "$url"
check "DELETE of an order" answers 405 'Allow: GET' get -X DELETE "$url/$id"
head -c 10485760 /dev/zero >"$work/huge"
check "10 MiB" answers 413 '"status":413' post "@$work/huge"
head -c 100000 /dev/zero >"$work/large"
check "100 kB in chunks" answers 413 '"status":413' post "@$work/large" -H 'transfer-encoding: chunked'
unwelcome() { # 10 MiB in chunks: refused, or cut off
    local status
    status=$(curl -s -o /dev/null -w '%{http_code}' -m 30 -H "$json" -H 'transfer-encoding: chunked' -H 'expect:' \
        --data-binary "@$work/huge" "$url") || true
    [ "$status" = 413 ] || [ "$status" = 000 ] || { echo "status $status" && return 1; }
}
check "10 MiB in chunks" unwelcome
drip() { # a body that comes drop by drop, until the connection is cut
    local host=${url#http://} port n
    port=${host#*:} port=${port%/*}
    exec 7<>"/dev/tcp/127.0.0.1/$port" || return 1
    printf 'POST /orders HTTP/1.1\r\nHost: x\r\n%s\r\nContent-Length: 10000\r\n\r\n' "$json" >&7
    trap '' PIPE
    for n in $(seq 300); do
        printf '{' >&7 2>/dev/null || return 0
        sleep 0.2
    done
    return 1
}
(drip) >/dev/null 2>&1 &
dripping=$!
check "others are served meanwhile" answers 202 accepted post "$good"
check "a body that comes drop by drop is cut off" wait $dripping
check "the order service is still there" answers 202 accepted post "$good"
port=${url%/orders} port=${port##*:}
check "a port in use" refuses 1 "the port is in use; give another one by --port" "$shop/shop-order" --port "$port"
check "a port that is none" refuses 1 'the port is not 0 to 65535' "$shop/shop-order" --port 70000

# ---- Poison, and what comes twice ----

event() { # id, order id, quantity, price: a record as a producer writes it
    printf '%s' "{\"order_id\":\"$2\",\"placed_at\":\"2026-01-31T12:00:00Z\",\"customer\":\"K.\",\"email\":\"k@example.org\"," \
        "\"lines\":[{\"sku\":\"$2\",\"quantity\":$3,\"amount\":\"$4\"}],\"total\":\"$4\"}" >"$work/event"
    produce "$work/event" -H "ce_specversion=1.0" -H "ce_id=$1" -H "ce_source=/tests" -H "ce_type=shop.order.created.v1" \
        -H "content-type=application/json"
}
produce() { # file, further arguments of kcat…
    local file=$1
    shift
    kcat -P -b "$bootstrap" -t orders -k poison "$@" "$file"
}
reads() { kcat -C -b "$bootstrap" -t "$1" -o beginning -e -q -f '%h %s\n' >"$work/stands" 2>"$work/stands.err"; } # topic
stands_in() { # group, topic of it, text: whether it stands in one of its records
    # All of it is read, before it is looked at: who closes the pipe early makes kcat fail. A broker that makes many topics
    # at once has told kcat that it does not know one that was written to a moment before.
    await 60 reads "orders.$1-$unique.$2" || { cat "$work/stands.err" && kcat -L -b "$bootstrap" -t "orders.$1-$unique.$2" && return 1; }
    grep -aq -- "$3" "$work/stands" || { cat "$work/stands" && return 1; }
}
dead() { # group, text: whether it stands in a dead letter
    stands_in "$1" dlq "$2"
}
# It says that it is an event, and has no id.
printf '{}' >"$work/broken"
produce "$work/broken" -H "ce_specversion=1.0" -H "ce_source=/tests" -H "ce_type=shop.order.created.v1"
# Nobody asked for these: another type, and no envelope at all.
produce "$work/broken" -H "ce_specversion=1.0" -H "ce_id=p-2" -H "ce_source=/tests" -H "ce_type=shop.order.praised.v1"
printf 'neither event nor JSON' >"$work/garbage"
produce "$work/garbage"
# It is of a known type, and cannot be read. It comes last: with the same key, in its turn behind those.
printf '{"order_id":"o-1","placed' >"$work/truncated"
produce "$work/truncated" -H "ce_specversion=1.0" -H "ce_id=p-1" -H "ce_source=/tests" -H "ce_type=shop.order.created.v1"
for name in email inventory fraud shipping analytics; do
    check "$name: what cannot be decoded is a dead letter" await 60 dead $name 'kurier-retry-cause=kurier.undecodable'
    check "$name: an event without an id is a dead letter" await 60 dead $name 'kurier-retry-cause=kurier.not_an_event'
    check "$name: what nobody asked for is no dead letter" not dead $name 'neither event nor JSON\|praised'
done
check "a dead letter keeps its bytes" dead email '{"order_id":"o-1","placed'
check "a dead letter keeps its headers" dead email 'ce_id=p-1'
check "a dead letter says where it came from" dead email "kurier-retry-topic=orders,.*kurier-retry-group=email-$unique"
event "e-bad-$unique" '../../etc/x' 1 1.00
check "an id cannot leave the mail directory" await 60 dead email "cannot be a file's name"

# 60 of 100 twice are one order when the event is the same, and too many when it is another.
event "e-1-$unique" "twice-$unique" 60 6.00
event "e-1-$unique" "twice-$unique" 60 6.00
event "e-2-$unique" "twice-$unique" 60 6.00
twice() { [ "$(grep -c "${unique: -6}  60 reserved" "$work/inventory")" = 1 ] && has inventory "was here before" && has inventory "rejected: not enough twice"; }
check "an event that comes twice moves the stock once" await 60 twice
check "the group goes on behind poison" answers 202 accepted post "$good"
id=$(id_of)
for name in email inventory fraud shipping analytics; do
    check "$name goes on behind poison" await 60 has $name "  ${id: -6}  "
done

# ---- Mail by SMTP ----

if command -v python3 >/dev/null; then
    start smtp python3 "$SOURCE/examples/shop/smtp.py"
    await 60 has smtp '^[0-9]+$'
    start postman env SMTP_URL="smtp://127.0.0.1:$(head -n 1 "$work/smtp")" "$shop/shop-email" \
        --group "postman-$unique" --properties "$work/properties"
    pid[postman]=$last
    # Until it has its retry topics, which costs it a rebalance, a letter in flight may be tried again without them.
    if [ -n "${KURIER_BOOTSTRAP:-}" ]; then
        has_topic() { "$BUILD/tools/kurier/kurier" groups show "$1" --bootstrap "$KURIER_BOOTSTRAP" | grep -q "$2"; }
        check "it has its retry topics" await 60 has_topic "postman-$unique" "orders.postman-$unique.retry-short"
    fi
    check "a mail server that says not now is asked again" answers 202 accepted post "${good/milena@/later@}"
    post "${good/milena@/never@}" >/dev/null
    check "the letter goes out then" await 90 has smtp '^taken later@example.org'
    check "not before" has smtp '^451 later@example.org'
    check "it waited in a retry topic" stands_in postman retry-short 'kurier-retry-attempt=2'
    check "and waits no more" await 60 sh -c "grep 'retries: ' '$work/postman' | tail -n 1 | grep -q 'short=0 .*dlq=[1-9][0-9]*$'"
    check "a mail server that says never" await 60 dead postman 'kurier-retry-cause=email.refused'
fi

# ---- The synchronous chain ----

calls=
for name in fraud inventory shipping analytics email; do
    case $name in
    inventory) start $name-http "$shop/shop-$name" --http 0 --database "$work/stock-http.db" ;;
    email) start $name-http "$shop/shop-$name" --http 0 --mail-dir "$work/mail-http" ;;
    *) start $name-http "$shop/shop-$name" --http 127.0.0.1:0 ;;
    esac
    pid[$name-http]=$last
    check "$name by HTTP" await 60 has $name-http 'answers at'
    calls+=${calls:+,}$(url_of $name-http)
done
start order-sync "$shop/shop-order-sync" --port 0 --call "$calls"
pid[order-sync]=$last
await 60 has order-sync 'takes orders at'
url=$(url_of order-sync)
check "the chain answers 201" answers 201 '"state":"completed"' post "$good"
id=$(id_of)
for name in fraud inventory shipping analytics email; do
    check "the chain calls $name" has $name-http "  ${id: -6}  "
done
check "GET of an order that is completed" answers 200 '"state":"completed"' get "$url/$id"
check "shop-email by HTTP ends with 0" ends "${pid[email-http]}"
unset "pid[email-http]"
check "one service that is gone breaks the chain" answers 502 '/work: ' post "$good"
check "a service by HTTP refuses what is no order" answers 400 '"status":400' \
    curl -sS -i -H "$json" -d '{}' "$(url_of fraud-http)/work"

# ---- Purchases ----

printf 'date,customer,amount,quantity\n1997-01-31,"K., Josef",11.77,1\n19970231,x,1,1\n1997-01-31,x,1,0\nx\n' >"$work/cd.csv"
"$shop/shop-load" --orders "$work/cd.csv" >"$work/checked" 2>&1 || true
check "good and bad lines are told" says "$work/checked" "good=1 bad=3"
check "a bad line is named with its number" says "$work/checked" 'cd.csv:3: date is not YYYY-MM-DD or YYYYMMDD: "19970231"'
url=$(url_of order)
"$shop/shop-load" --orders "$work/cd.csv" --url "$url" >"$work/sent" 2>/dev/null || true
check "a purchase is an order" says "$work/sent" "sent=1 good=1"
check "its customer's name is whole" await 60 has order 'K., Josef: accepted'

# ---- The end ----

for name in "${!pid[@]}"; do
    check "$name ends with 0 on SIGTERM" ends "${pid[$name]}"
done
start nobody "$shop/shop-fraud" --bootstrap 127.0.0.1:1
check "without a broker it says so" await 60 has nobody '127.0.0.1:1'
check "and ends with 0 on SIGTERM all the same" ends $last

# Another broker, which goes away while an order service is at work: orders are taken as ever.
start other "$kurier" broker --topic orders:1 --topic inventory:1
other=$last
await 60 has other ':[0-9]+$'
start lonely "$shop/shop-order" --bootstrap "$(head -n 1 "$work/other")" --port 0 --database "$work/lonely.db"
order=$last
await 60 has lonely 'takes orders at'
url=$(url_of lonely)
check "an order before the broker goes" answers 202 accepted post "$good"
check "kurier broker ends with 0 on SIGTERM" ends $other
check "an order without a broker" answers 202 accepted post "$good"
check "is there to be asked for" answers 200 '"state":"accepted"' get "$url/$(id_of)"
check "the order service ends with 0 all the same" ends $order
check "a database that cannot be written" refuses 1 "unable to open database file" "$shop/shop-order" --port 0 --bootstrap 127.0.0.1:1 \
    --database "$work/nowhere/orders.db"
check "a guarantee that is none" refuses 2 '--guarantee is not one of at-least-once exactly-once: "maybe"' "$shop/shop-order" \
    --guarantee maybe
if [ -n "${broker:-}" ]; then check "the broker ends with 0" ends "$broker"; fi
