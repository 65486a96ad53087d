#!/usr/bin/env bash
# Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
# The nouns about topics, groups and lag as a person uses them, on the embedded broker or the real one that
# KURIER_BOOTSTRAP names.
. "$(dirname "$0")/../processes.sh"

kurier=$BUILD/tools/kurier/kurier lagging=$BUILD/tests/command/lagging
unique=t$$x$RANDOM
unset KAFKA_BOOTSTRAP_SERVERS
is_real() { [ -n "${KURIER_BOOTSTRAP:-}" ]; }

# says_all STATUS TEXT… -- ARGUMENT…: kurier ends with the status and says the texts on either; $work/out, $work/err.
kurier() {
    local status=$1 texts=() ended=0 text
    shift
    while [ "$1" != -- ]; do
        texts+=("$1")
        shift
    done
    shift
    "$kurier" "$@" >"$work/out" 2>"$work/err" </dev/null || ended=$?
    cat "$work/out" "$work/err" >"$work/both"
    [ $ended = "$status" ] || { echo "exit status $ended, expected $status: $*" && cat "$work/both" && return 1; }
    for text in "${texts[@]}"; do says "$work/both" "$text" || return 1; done
}
# holds EXPRESSION: of the JSON that was printed last, as `it`.
holds() {
    python3 -c 'import json, sys
text = open(sys.argv[1]).read()
it = json.loads(text) if text.startswith("[") else [json.loads(line) for line in text.splitlines()]
assert eval(sys.argv[2]), json.dumps(it, indent=1)' "$work/out" "$1"
}

orders=$unique.orders group=$unique-email
if is_real; then
    export KAFKA_BOOTSTRAP_SERVERS=$KURIER_BOOTSTRAP
    has_leader() { kcat -L -b "$KURIER_BOOTSTRAP" -t "$1" | grep -q 'partition 0, leader [0-9]'; }
    for topic in "$orders" "$orders.$group.retry-short"; do check "Kafka makes $topic" await 30 has_leader "$topic"; done
else
    start broker "$kurier" broker --topic "$orders:4" --topic "$orders.$group.retry-short:4"
    await 10 has broker ':[0-9]+$'
    KAFKA_BOOTSTRAP_SERVERS=$(head -n 1 "$work/broker")
    export KAFKA_BOOTSTRAP_SERVERS
fi

# ---- lag ----

check "records" "$lagging" publish "$orders" 0 100 7200
check "and others" "$lagging" publish "$orders" 0 10 60
check "elsewhere" "$lagging" publish "$orders" 1 5 600
check "on the retry topic" "$lagging" publish "$orders.$group.retry-short" 0 7 30
check "a group that has done most of it" "$lagging" commit "$group" "$orders" 0 10 12-50 60-100
check "and of its retries" "$lagging" commit "$group" "$orders.$group.retry-short" 0 1 4-6
check "lag show" kurier 0 "$group" WAITING -- lag show "$group"
check "lag show -o json" kurier 0 -- lag show "$group" --partitions -o json
check "what other tools show is 100 + 5 + 6" holds 'it[0]["lag"] == 111'
check "what is done above is 38 + 40 and 2" holds 'it[0]["finished_above"] == 80'
check "2 + 10 wait" holds 'it[0]["waiting"]["records"] == 12 and 7200 <= it[0]["waiting"]["seconds"] < 7300'
check "10 + 5 are unread" holds 'it[0]["unread"]["records"] == 15 and 600 <= it[0]["unread"]["seconds"] < 700'
check "3 + 1 are parked" holds 'it[0]["parked"]["records"] == 4 and 30 <= it[0]["parked"]["seconds"] < 130'
check "each partition has its own" holds '[p["waiting"]["records"] for p in it[0]["partitions"] if p["topic"].endswith("orders")][:2] == [12, 0]'
check "also the one of which nothing is committed" holds '[p["committed"] for p in it[0]["partitions"] if p["topic"].endswith("orders")][:2] == [10, None]'
check "nothing moves, so that there is a trend of 0, and it never catches up" holds 'it[0]["trend_per_s"] == 0 and it[0]["catch_up_s"] is None'
check "in words" bash -c '"$1" lag show "$2" | grep -E "^$2 .* 111 +80 +12 \(2h 0m\) +15 \(10m [0-9]+s\) +4 \([0-9]+[ms].*\) +\+0/s +never"' - "$kurier" "$group"
check "without a second look there is no trend" kurier 0 -- lag show "$group" --sample 1ms -o jsonl
check "a group that nobody knows" kurier 1 "$unique-none" -- lag show "$unique-none"
check "one of two" kurier 2 "$unique-none" "$group" -- lag show "$unique-none" "$group"
check "--fail-over by time" kurier 5 "group $group is further behind" -- lag show "$group" --fail-over 1h
check "not by a longer one" kurier 0 -- lag show "$group" --fail-over 3h
check "by records" kurier 5 "further behind" -- lag show "$group" --fail-over 26
check "not by as many" kurier 0 -- lag show "$group" --fail-over 27
check "by what is neither" kurier 3 "--fail-over needs a time such as 60s" -- lag show "$group" --fail-over soon
check "lag watch" kurier 0 -- lag watch "$group" --count 3 --every 100ms -o jsonl
check "three times" holds 'len(it) == 3 and it[0]["trend_per_s"] is None and it[2]["trend_per_s"] == 0'
check "lag watch ends when it is too far behind" kurier 5 "further behind" -- lag watch "$group" --every 100ms --fail-over 1h
grows() {
    rm -f "$work/out"
    "$kurier" lag watch "$group" --every 200ms --fail-over 100 -o jsonl >"$work/out" 2>"$work/err" &
    local watch=$! status=0
    await 20 test -s "$work/out" || return 1
    "$lagging" publish "$orders" 1 200 0
    wait $watch || status=$?
    [ $status = 5 ] && holds 'len(it) > 1 and it[-1]["unread"]["records"] == 215 and it[-1]["trend_per_s"] > 0'
}
check "and not before" grows
check "a foreign group" bash -c '"$1" commit "$2" "$3" 0 100 && kcat -q -b "$KAFKA_BOOTSTRAP_SERVERS" -L >/dev/null' - "$lagging" "$unique-foreign" "$orders"
check "has what it has" kurier 0 -- lag show "$unique-foreign" -o json
check "no ledger, and so everything unread" holds 'it[0]["finished_above"] == 0 and it[0]["unread"]["records"] == 10 + 205'
if is_real; then
    check "all groups" kurier 0 "$group" "$unique-foreign" -- lag show
else
    check "the embedded broker has no list of groups" kurier 1 "embedded" -- lag show
fi
