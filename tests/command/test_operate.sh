#!/usr/bin/env bash
# Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
# The nouns about topics, groups and lag as a person uses them, on the embedded broker or the real one that
# KURIER_BOOTSTRAP names.
. "$(dirname "$0")/lib.sh"

lagging=$BUILD/tests/command/lagging
orders=$unique.orders group=$unique-email parts=4
if is_real; then parts=6; fi # as many as its broker makes
real_or_embedded "$orders:4" "$orders.$group.retry-short:4"
broker=${last:-}

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
    await 60 test -s "$work/out" || return 1
    "$lagging" publish "$orders" 1 200 0
    wait $watch || status=$?
    # It may be seen in the midst of what is published.
    [ $status = 5 ] && holds 'len(it) > 1 and 100 < it[-1]["unread"]["records"] <= 215 and it[-1]["trend_per_s"] > 0'
}
check "and not before" grows
check "a foreign group" bash -c '"$1" commit "$2" "$3" 0 100 && kcat -q -b "$KAFKA_BOOTSTRAP_SERVERS" -L >/dev/null' - "$lagging" "$unique-foreign" "$orders"
check "has what it has" kurier 0 -- lag show "$unique-foreign" -o json
check "no ledger, and so everything unread" holds 'it[0]["finished_above"] == 0 and it[0]["unread"]["records"] == 10 + 205'
if is_real; then
    check "all groups" kurier 0 "$group" "$unique-foreign" -- lag show
else
    check "the embedded broker has no list of groups" kurier 3 "embedded" -- lag show
fi

# ---- topics ----

check "topics list" kurier 0 "$orders" "$orders.$group.retry-short" retry -- topics list "$unique*"
check "topics list -o json" kurier 0 -- topics list "$orders" -o json
check "one" holds '[t["topic"] for t in it] == ["'"$orders"'"] and it[0]["partitions"] == '"$parts"' and it[0]["kind"] is None'
check "none of a name" kurier 0 "no topics of these names" -- topics list "$unique-none"
check "topics show" kurier 0 "$orders: $parts partitions" "LEADER" -- topics show "$orders"
check "topics show -o jsonl" kurier 0 -- topics show "$orders" "$orders.$group.retry-short" -o jsonl
check "two of them, with offsets" holds 'len(it) == 2 and it[0]["partitions"][0]["end"] == 110 and it[1]["partitions"][0]["end"] == 7'
check "a topic that is not there" kurier 1 "$unique.none" -- topics show "$unique.none"
check "one of two that is not there" kurier 2 "$unique.none" "$orders: $parts" -- topics show "$orders" "$unique.none"
check "no topic named" kurier 3 "which topics?" -- topics show
wishes() { printf '{"topics": [%s]}' "$1" >"$work/wishes.json"; }
wishes '{"name": "'"$orders"'", "partitions": '"$parts"'}'
check "as they should be" kurier 0 "all 1 topics are as they should be" -- topics plan "$work/wishes.json"
wishes '{"name": "'"$unique.made"'", "partitions": '"$parts"'}, {"name": "'"$orders"'", "partitions": '"$parts"'}'
check "a plan to make one" kurier 0 "$unique.made" make "1 things are not" -- topics plan "$work/wishes.json"
check "made it not" kurier 0 make -- topics apply "$work/wishes.json"
check "apply" kurier 0 "all 2 topics are as they should be" -- topics apply "$work/wishes.json" --execute
check "it is there" kurier 0 "$unique.made: $parts partitions" -- topics show "$unique.made"
wishes '{"name": "'"$orders"'", "partitions": 2}'
check "partitions cannot be taken away" kurier 2 "cannot be changed" "1 things are left" -- topics apply "$work/wishes.json" --execute
wishes '{"name": "'"$orders"'", "partitons": 2}'
check "a member that nobody knows" kurier 3 "partitons" -- topics plan "$work/wishes.json"
wishes '{"name": "'"$orders"'", "retention": "soon"}'
check "a time that is none" kurier 3 "retention is a time" -- topics plan "$work/wishes.json"
check "no topics" bash -c '{ echo "{\"topics\":[]}" | "$1" topics plan -; } 2>&1 | grep "names no topics"' - "$kurier"
check "no JSON" kurier 3 "line 1" -- topics plan <(echo '{"topics"')
check "no file" kurier 1 "No such file" -- topics plan /nowhere/topics.json
if is_real; then
    wishes '{"name": "'"$orders"'", "partitions": 8, "retention": "12h", "configs": {"compression.type": "gzip"}}'
    check "settings and partitions" kurier 0 retention.ms 43200000 compression.type -- topics plan "$work/wishes.json"
    check "are changed" kurier 0 "all 1 topics" -- topics apply "$work/wishes.json" --execute
    check "they are" kurier 0 "8 partitions" "retention.ms = 43200000" "compression.type = gzip" -- topics show "$orders"
fi

# ---- groups ----

if is_real; then
    check "groups list" kurier 0 "$group" "empty" -- groups list
    check "groups show" kurier 0 "$group: empty, 0 members" "(a ledger," "$orders/0" -- groups show "$group"
    joined() { mkfifo "$work/joined"; start member bash -c 'exec "$1" join "$2" "$3" <"$4"' - "$lagging" "$group" "$orders" "$work/joined"; exec 9>"$work/joined"; await 60 has member joined; }
    check "a member" joined
    check "is listed" kurier 0 -- groups list -o jsonl
    check "with one member" holds '[(g["state"], g["members"]) for g in it if g["group"] == "'"$group"'"] == [("stable", 1)]'
    check "is shown with what it has" kurier 0 "$group: stable, 1 members" "$orders/0-" -- groups show "$group"
    check "in JSON" kurier 0 -- groups show "$group" -o json
    check "each partition" holds 'len(it[0]["members"][0]["partitions"]) == 8 and it[0]["offsets"][0]["metadata"].startswith("kur1:")'
    check "a group with members cannot be moved" kurier 3 "has members" -- offsets plan "$group" --to start
    exec 9>&-
    check "it goes" await 60 not lives "$last"
    check "a group that is not there" kurier 1 'no group "'"$unique-none"'"' -- groups show "$unique-none"
    check "one of two" kurier 2 "$unique-none" "$group: empty" -- groups show "$group" "$unique-none"
else
    check "no list of groups" kurier 3 "embedded" -- groups list
    check "nor what is known of one" kurier 3 "embedded" -- groups show "$group"
fi

# ---- offsets ----

check "a plan to the end" kurier 0 "$orders/0" "10" "110" "100 offsets would be skipped" -- offsets plan "$group" --to end --topic "$orders" --partition 0
check "changes nothing" bash -c '"$1" lag show "$2" --partitions -o json | grep -q "\"committed\":10,"' - "$kurier" "$group"
check "a plan to the start, as JSON" kurier 0 -- offsets plan "$group" --to start --topic "$orders" --partition 0 -o json
check "with what is beside the offset" holds 'it[0]["repeated"] == 10 and it[0]["partitions"][0]["from"] == 10 and it[0]["partitions"][0]["metadata"].startswith("kur1:")'
cp "$work/out" "$work/plan.json"
check "apply is a dry run" kurier 0 "10 read again" "--execute does that" -- offsets apply "$work/plan.json"
check "which changes nothing" bash -c '"$1" lag show "$2" --partitions -o json | grep -q "\"committed\":10,"' - "$kurier" "$group"
if is_real; then
    check "undo of what was not done" kurier 3 "not 0 as the plan says" -- offsets undo "$work/plan.json" --execute
    check "apply" kurier 0 "1 partitions moved" -- offsets apply "$work/plan.json" --execute
    check "the group stands at the start" bash -c '"$1" lag show "$2" --partitions -o json | grep -q "\"committed\":0,"' - "$kurier" "$group"
    check "again is refused" kurier 3 "" -- offsets apply "$work/plan.json" --execute
    check "undo is a dry run" kurier 0 "would go back" -- offsets undo "$work/plan.json"
    check "undo" kurier 0 "where they were" -- offsets undo "$work/plan.json" --execute
    check "what was done is known again" kurier 0 -- lag show "$group" -o json
    check "all of it" holds 'it[0]["finished_above"] == 80 and it[0]["waiting"]["records"] == 12'
    check "to a time" kurier 0 -- offsets plan "$group" --to 1h --topic "$orders" -o jsonl
    check "is where the younger ones begin" holds '[p["to"] for p in it[0]["partitions"] if p["partition"] < 2] == [100, 0]'
    check "to a time by the clock" kurier 0 -- offsets plan "$group" --to 2020-01-01T00:00:00Z --topic "$orders" -o jsonl
    check "is the start" holds 'it[0]["partitions"][0]["to"] == 0'
fi
check "to an offset" kurier 0 "50" -- offsets plan "$group" --to 50 --topic "$orders" --partition 0
check "to nowhere" kurier 3 "--to is missing" -- offsets plan "$group"
check "to what is no place" kurier 3 "--to needs start, end" -- offsets plan "$group" --to yesterday
check "a partition of no topic" kurier 3 "of which --topic" -- offsets plan "$group" --to end --partition 1
check "no group" kurier 3 "which group?" -- offsets plan --to end
check "a plan that is none" kurier 3 "" -- offsets apply <(echo '{"group": "x"}')

# ---- events ----

events=$unique.events
check "a topic for events" kurier 0 "" -- topics apply <(echo '{"topics": [{"name": "'"$events"'", "partitions": '$parts'}]}') --execute
publish=(events publish "$events" --type shop.order.created.v1 --key k1 --partition 1)
check "publish is a dry run" kurier 0 "shop.order.created.v1 of 31 bytes would be sent to $events; --execute sends it" -- \
    "${publish[@]}" --data '{"total":5,"password":"canary"}'
check "which sends nothing" bash -c '! "$1" events tail "$2" --from start --stop | grep .' - "$kurier" "$events"
check "publish" kurier 0 "$events/1/0" -- "${publish[@]}" --data '{"total":5,"password":"canary"}' --header Authorization=canary --header a=b --execute
check "another" kurier 0 "$events/1/1" -- "${publish[@]}" --subject s17 --id id17 --data '{"total":500}' --execute
check "from standard input, for programs" bash -c 'echo "{\"total\":501}" | "$1" "${@:2}" --file - --execute -o jsonl | grep -F "\"partition\":1,\"offset\":2,"' - "$kurier" "${publish[@]}"
check "no JSON" kurier 3 "the data are no JSON: line 1" -- "${publish[@]}" --data '{"total"' --execute
check "but what is said to be none" kurier 0 "$events/1/3" -- "${publish[@]}" --data 'a,b' --content-type text/csv --execute
check "a plain record" kurier 0 "$events/2/0" -- events publish "$events" --partition 2 --data plain --execute
check "a tombstone" kurier 0 "$events/2/1" -- events publish "$events" --partition 2 --key k --tombstone --execute
check "nothing to send" kurier 3 "one of --data" -- events publish "$events"
check "to a topic that is not there" kurier 3 "there is no topic" -- events publish "$unique.none" --data x --execute
check "and is not made by it" kurier 0 "no topics of these names" -- topics list "$unique.none"
check "to a partition that is not there" kurier 3 "$parts partitions" -- events publish "$events" --data x --partition 17 --execute
check "tail to the end of now" kurier 0 "$events/1/0  shop.order.created.v1  k1" '"password":"***"' "$events/2/0  -    plain" "(null)" -- events tail "$events" --from start --stop
check "six of them, and no secret" bash -c '[ $(wc -l <"$1") = 6 ] && ! grep canary "$1"' - "$work/out"
check "tail -o json" kurier 0 -- events tail "$events" --from start --stop -o json
check "all of it, masked" holds 'len(it) == 6 and ["Authorization", "***"] in [r for r in it if r["partition"] == 1][0]["headers"] and [r["id"] for r in it].count("id17") == 1'
check "unmasked" kurier 0 canary -- events tail "$events" --from start --stop --unmask
check "with a filter" kurier 0 -- events tail "$events" --from start --stop --where 'type = "shop.order.created.v1" and payload.total > 100' -o jsonl
check "two" holds '[r["offset"] for r in it] == [1, 2]'
check "a filter that is wrong" kurier 3 "^" -- events tail "$events" --where 'type ='
check "so many" kurier 0 -- events tail "$events" --from start --limit 1 -o jsonl
check "one" holds 'len(it) == 1'
tail_follows() {
    start tail "$kurier" events tail "$events" -o json
    local tail=$last
    await 60 bash -c '"$1" events publish "$2" --data now --partition 0 --execute >/dev/null; grep -q now "$3"' - "$kurier" "$events" "$work/tail" || return 1
    kill -TERM $tail # a background job ignores Ctrl-C
    await 60 not lives $tail || { echo "it goes on after SIGTERM" && return 1; }
    wait $tail || { echo "exit status $?" && cat "$work/tail" && return 1; }
    python3 -c 'import json, sys; assert all(r["value"] == "now" for r in json.load(open(sys.argv[1])))' "$work/tail"
}
check "tail follows, and ends in order when it is told to" tail_follows
if is_real; then
    check "tail of a topic that is not there" kurier 1 "$unique.none" -- events tail "$unique.none" --timeout 5
fi
check "show" kurier 0 "$events/1/1" "event         shop.order.created.v1" "subject       s17" '{"total":500}' -- events show "$events/1/1"
check "show in JSON, masked" kurier 0 '"value":"{\"total\":5,\"password\":\"***\"}"' -- events show "$events" 1 0 -o jsonl
check "show unmasked" kurier 0 'Authorization = canary' -- events show "$events/1/0" --unmask
check "show of what is not there" kurier 1 "has the offsets 0 to 3" -- events show "$events/1/77"
check "show of what is no place" kurier 3 "TOPIC/PARTITION/OFFSET" -- events show "$events"
if is_real; then
    check "tail from a time" kurier 0 -- events tail "$orders" --from 30m --stop -o jsonl
    check "has the younger ones" holds '{(r["partition"], r["offset"]) for r in it} == {(0, o) for o in range(100, 110)} | {(1, o) for o in range(0, 205)}'
fi

# ---- A broker that goes away ----

goes_and_comes_back() {
    local watch lines status=0
    start watch bash -c 'exec "$1" lag watch "$2" --every 200ms --timeout 5 -o jsonl 2>"$3"' - "$kurier" "$group" "$work/watch.err"
    watch=$last
    await 60 has watch '"group"' || return 1
    freeze "$broker"
    await 60 test -s "$work/watch.err" || { kill -CONT "$broker" && echo "it says nothing" && return 1; }
    lines=$(wc -l <"$work/watch")
    kill -CONT "$broker"
    goes_on() { [ "$(wc -l <"$work/watch")" -gt "$lines" ]; }
    await 60 goes_on || { cat "$work/watch.err" && return 1; }
    kill -TERM $watch
    wait $watch || status=$?
    [ $status = 143 ] || { echo "exit status $status" && return 1; }
}
if ! is_real; then
    check "lag watch says so, and goes on when it is back" goes_and_comes_back
fi

# ---- Each way ----

# Every verb that takes -o and needs no more than these: what it prints is JSON, or is not, as asked for.
each_way() { # format, noun and verb…, arguments
    local format=$1
    shift
    ends_with 0 "$kurier" "$@" -o "$format" || return 1
    python3 -c 'import json, sys
text, format = open(sys.argv[1]).read(), sys.argv[2]
if format == "json": assert isinstance(json.loads(text), list)
elif format == "jsonl": assert text and all(isinstance(json.loads(line), dict) for line in text.splitlines())
else: assert text and text[0] not in "{[", text' "$work/out" "$format"
}
wishes '{"name": "'"$orders"'", "partitions": 100}'
"$kurier" offsets plan "$group" --to end --topic "$orders" --partition 0 -o json >"$work/plan.json"
for format in table json jsonl; do
    for line in "topics list $orders" "topics show $orders" "topics plan $work/wishes.json" "lag show $group --partitions" \
        "offsets plan $group --to end --topic $orders --partition 0" "events tail $events --from start --stop" \
        "events show $events/1/1" "events publish $events --data x --partition 3 --execute"; do
        # shellcheck disable=SC2086
        check "$line -o $format" each_way $format $line
    done
    if is_real; then
        check "groups list -o $format" each_way $format groups list
        check "groups show -o $format" each_way $format groups show "$group"
    fi
done
check "lag watch, for people" kurier 0 WAITING -- lag watch "$group" --count 1

# ---- top ----

members=("$group") # a real broker may have many others
check "top without a terminal" kurier 3 "needs a terminal" "kurier lag watch -o jsonl" -- top "${members[@]}"
# top_on COLUMNS ROWS KEY: what it draws until the key is pressed is in $work/screen, and how the terminal is after it.
top_on() {
    rm -f "$work/keys" "$work/screen"
    mkfifo "$work/keys"
    start screen bash -c 'TERM=xterm exec script -qec "stty cols $1 rows $2; $3 top --every 200ms ${*:5}; echo ended=\$?; stty -a" /dev/null <"$4"' - \
        "$1" "$2" "$kurier" "$work/keys" "${members[@]}"
    exec 8>"$work/keys"
    # Three pictures, the second of which has a trend.
    drawn() { [ "$(grep -o 'kurier top' "$work/screen" | wc -l)" -ge 3 ]; }
    await 60 drawn || { cat "$work/screen" && return 1; }
    printf "$3" >&8
    await 60 has screen 'ended=' || return 1
    exec 8>&-
    says "$work/screen" ended=0
}
check "top, and q" top_on 120 30 q
check "it shows the group" has screen "$group"
check "what is unread, waiting and parked" has screen '215 \([0-9]+[mh].*12 \(2h [0-9]+m\).*4 \('
check "its retries" has screen 'RETRIES OF'
check "a terminal of its own, given back" bash -c 'grep -qF "$(printf "\033[?1049h")" "$1" && grep -qF "$(printf "\033[?1049l")" "$1" && grep -qF "$(printf "\033[?25h")" "$1"' - "$work/screen"
check "with its settings" has screen '(^| )echo( |;)'
check "top, and Ctrl-C" top_on 40 12 '\003'
# Without orders to the terminal: what is drawn between them.
check "narrow: no line is wider" bash -c 'sed -E "s/\x1b\[[0-9;?]*[a-zA-Z]//g; s/\r//g" "$1" | sed "/^ended/,\$d" >"$2"; ! LC_ALL=C.UTF-8 grep -nE "^.{41}" "$2"' - "$work/screen" "$work/plain"
check "and no picture is higher" bash -c 'awk "/kurier top/ {n = 0} {n++} n > 12 {exit 1}" "$1"' - "$work/plain"

# ---- doctor ----

check "doctor finds what is done above" kurier 0 "ok    ledger" "$group: 80 offsets are finished above" "All is well" -- doctor --topic "$orders" --group "$group"
check "a group of nobody" kurier 0 "note  group" "$unique-none: has committed nothing" -- doctor --group "$unique-none"
check "a text of another program" "$lagging" beside "$unique-odd" "$orders" 0 5 "of mine"
check "is told" kurier 0 "note  ledger" "$orders [0]: the commit's metadata are not ours" "does another program commit" -- doctor --group "$unique-odd"
check "a broken ledger" "$lagging" beside "$unique-odd" "$orders" 0 5 "kur1:AAAA"
check "is told" kurier 0 "the committed ledger is broken: what was finished above 5 is done again" -- doctor --group "$unique-odd"
check "an offset behind the end" "$lagging" commit "$unique-far" "$orders" 2 5000
check "is told" kurier 0 "5000 is committed, and the log ends at 0" -- doctor --group "$unique-far"
check "a record of the future" "$lagging" publish "$events" 0 1 -3600
check "is told" kurier 0 "note  clock" "its last record is 3" "in the future" -- doctor --topic "$events"
check "no note without reason" bash -c '! "$1" doctor --topic "$2" --group "$3" | grep "^note  [clg]"' - "$kurier" "$orders" "$group"
