#!/usr/bin/env bash
# Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
# `kurier dlq` as a person uses it, on the embedded broker or on the real one that KURIER_BOOTSTRAP names.
. "$(dirname "$0")/lib.sh"

dead=$unique.email.dlq copy=$unique.copy.dlq-again spring=$unique-dlt

# ---- Command lines ----

check "the help names every verb" dlq 0 "usage: kurier dlq VERB" discard export "4 not known" -- --help
check "without a verb it is refused" dlq 3 usage: --
check "a verb that is none" dlq 3 'no verb "lits"' -- lits
for verb in list groups browse show export import discard; do
    check "$verb --help" dlq 0 "usage: kurier dlq $verb" --bootstrap -- "$verb" --help
done
check "an option of another verb" dlq 3 'what is "--reason"?' -- list --reason x
check "a format that is none" dlq 3 "-o takes table" -- list -o yaml
check "a time that is none" dlq 3 "--older needs a time" -- groups --older soon
check "an offset that is none" dlq 3 "--from needs an offset" -- groups --from -1
check "a value that is missing" dlq 3 "--cause needs a value" -- groups --cause
check "a letter without a place" dlq 3 "TOPIC/PARTITION/OFFSET" -- show x --bootstrap a:1
check "a place that is none" dlq 3 "numbers from 0 on" -- show x/y/z --bootstrap a:1
check "groups by what there is not" dlq 3 "--by takes" -- groups --by size
check "no Kafka is named" dlq 1 "no bootstrap servers" -- list
check "nobody listens" dlq 1 "127.0.0.1:1" -- list --bootstrap 127.0.0.1:1 --timeout 5
check "a discard without a topic" dlq 3 "which topics?" -- discard --reason x --all --bootstrap a:1
check "a discard without a reason" dlq 3 "--reason is missing" -- discard a.dlq --all --bootstrap a:1
check "a discard of whatever there is" dlq 3 "which letters?" -- discard a.dlq --reason x --bootstrap a:1
check "an import to what holds no dead letters" dlq 3 "no topic of dead letters" -- import orders --bootstrap a:1

# ---- A broker, and letters ----

real_or_embedded "$dead:6" "$copy:6" "$spring:6"
bootstrap=$KAFKA_BOOTSTRAP_SERVERS

"$SOURCE/tests/dlq/letters.py" usual >"$work/usual"
check "a dry run of an import" dlq 0 "8 letters would be written" -- import "$dead" "$work/usual"
check "wrote nothing" dlq 0 "no letters" -- groups "$dead"
check "an import" dlq 0 "8 letters written to $dead" -- import "$dead" "$work/usual" --execute
check "a topic that is not there" dlq 1 "$unique.none.dlq" -- groups "$unique.none.dlq*"

check "list" dlq 0 LETTERS "$dead" "$spring" -- list "$unique*"
check "list shows each topic once" rows 3
check "list -o jsonl" dlq 0 "\"topic\":\"$dead\",\"partitions\":6,\"letters\":8,\"discarded\":0" -- list "$dead" -o jsonl
check "list -o json" bash -c '"$1" dlq list "$2" -o json | python3 -c "
import json, sys
(topic,) = json.load(sys.stdin)
assert topic[\"oldest\"] < topic[\"newest\"], topic"' - "$kurier" "$dead"
check "list without any" dlq 0 "[]" -- list nothing-of-that-name -o json
if is_real; then
    check "list warns of what expires" dlq 0 "$dead: the oldest letter expires in" -- list "$dead" --warn 30d
    check "and not by default" bash -c '! grep -q expires\ in <("$1" dlq list "$2" 2>&1)' - "$kurier" "$dead"
fi

# ---- Groups ----

check "groups" dlq 0 "    6  smtp.timeout  shop.order.created.v1  mail.c:88" "$dead/" -- groups "$dead"
check "three of them" rows 3
check "groups by cause" dlq 0 -- groups "$dead" --by cause -o jsonl
check "in order of their size" bash -c '[ "$(sed -E "s/,\"first.*//" "$1")" = "{\"count\":6,\"cause\":\"smtp.timeout\"
{\"count\":2,\"cause\":\"poison\"" ]' - "$work/out"
check "groups of all topics by a prefix" dlq 0 "email" -- groups "$unique*" --by group,topic
check "one group and the rest" dlq 0 "(all others)" -- groups "$dead" --max 1
counts() { # number, filter…
    local number=$1
    shift
    dlq 0 -- groups "$dead" --by topic -o jsonl "$@" || return 1
    [ "$number" = 0 ] && prints "" || says "$work/out" "{\"count\":$number,"
}
check "by cause" counts 2 --cause poison
check "by a prefix of it" counts 6 --cause 'smtp.*'
check "by type" counts 1 --type shop.parcel.v1
check "by group" counts 0 --group sms
check "by origin" counts 8 --origin orders
check "by key" counts 1 --key=k3
check "older" counts 3 --older 3h
check "younger" counts 4 --younger 90m
check "by partition" counts 3 --partition=0
check "by partition and offset" counts 2 --partition 1 --from 1 --to 3
check "by a filter" counts 2 --where 'cause = "poison"'
check "by a filter of ages and places" counts 3 --where "age < 90m and partition = 1 or cause == 'poison' and age < 2m"
check "by one of headers" counts 1 --where 'header("ce_id") = "id-3"'
check "by one of payloads" counts 2 --where 'payload.id in (1, 4) and payload.card.number ~ "canary-*"'
check "by what is not there" counts 2 --where 'payload.id = null'
check "a filter beside other choices" counts 3 --where 'age < 1d' --cause 'smtp.*' --partition 0
check "a filter that is wrong shows where" dlq 3 "--where: character 34: age is a duration: expected one such as 90s" \
    '  cause = "smtp.timeout" and age < 2' '                                   ^' -- groups "$dead" --where 'cause = "smtp.timeout" and age < 2'
check "a filter twice" dlq 3 '--where stands twice' -- groups "$dead" --where 'age < 2h' --where 'age > 1h'
check "an empty filter" dlq 3 '--where needs a filter' -- groups "$dead" --where ''
check "browse by a filter" dlq 0 k3 -- browse "$dead" --where 'key = "k3"'
check "one of them" rows 1
check "export by a filter" dlq 0 "2 letters" -- export "$dead" --where 'payload.id > 3'
check "a filter that discards" dlq 0 "1 letters would be discarded" -- discard "$dead" --reason x --where 'id = "id-2"'

# ---- Browse and show ----

check "browse" dlq 0 "$dead/1/4" k5 "token=***&x=1" -- browse "$dead"
check "no secret in it" bash -c '! grep -n canary "$1"' - "$work/out"
check "browse unmasked" dlq 0 "token=canary-5" -- browse "$dead" --unmask
check "browse so many" dlq 0 "there are more than 2; --limit 0 shows all" -- browse "$dead" --limit 2
check "two of them" rows 2
check "browse -o json" bash -c '"$1" dlq browse "$2" -o json | python3 -c "
import json, sys
letters = json.load(sys.stdin)
assert len(letters) == 8 and all(one[\"origin\"][\"topic\"] == \"orders\" for one in letters)
assert {\"bytes\": 1} in [one[\"key\"] for one in letters]"' - "$kurier" "$dead"
check "show" dlq 0 "cause         smtp.timeout" "came from     orders/3/100" "attempts      1 at 20" "Authorization = ***" \
    '"password": "***"' '"card": "***"' '{\"api_key\":\"***\"}' -- show "$dead/0/0"
check "no secret in it either" bash -c '! grep -n canary "$1"' - "$work/out"
check "show by three arguments, for programs" dlq 0 '"attempts":[{"attempt":1,' '"sha256":"' '"attempt":5' -- show "$dead" 0 0 -o json
check "nor there" bash -c '! grep -n canary "$1"' - "$work/out"
check "show unmasked" dlq 0 canary-1 canary-2 canary-3 canary-4 -- show "$dead/0/0" --unmask
check "show of bytes" dlq 0 "(3 bytes that are no text; --unmask shows them)" -- show "$dead/1/3"
check "show of what is not there" dlq 1 "there is no letter $dead/0/77" -- show "$dead/0/77"

# ---- Export and import ----

check "export to a file" dlq 0 "8 letters" -- export "$dead" --file "$work/letters"
check "that others may not read" test "$(stat -c %a "$work/letters")" = 600
check "that is not written over" dlq 1 "File exists" -- export "$dead" --file "$work/letters"
check "through a pipe and back" bash -c '"$1" dlq export "$2" --cause "smtp.*" | python3 "$SOURCE/tests/dlq/letters.py" again | "$1" dlq import "$3" --execute' - "$kurier" "$dead" "$copy"
check "the other two by way of jq" bash -c 'set -o pipefail
    "$1" dlq export "$2" | jq -c "select(.letter.cause == \"poison\")" | "$1" dlq import "$3" --execute -' - "$kurier" "$dead" "$copy"
check "is exactly what was there" bash -c 'same() { sed -E "s/^.*(\"timestamp_ms\")/\1/" | sort; }
    diff <("$1" dlq export "$2" | same) <("$1" dlq export "$3" | same)' - "$kurier" "$dead" "$copy"
{ head -n 2 "$work/letters" && echo '{"value":1}'; } >"$work/wrong"
check "a line that is wrong" dlq 1 "line 3: character 10: expected a string" -- import "$spring" "$work/wrong" --execute
check "and nothing was written" dlq 0 "no letters" -- groups "$spring"
check "a pipe is written up to it" bash -c 'status=0; "$1" dlq import "$2" --execute < <(cat "$3") || status=$?; [ $status = 2 ]' - \
    "$kurier" "$spring" "$work/wrong"
check "that far" dlq 0 '{"count":2,' -- groups "$spring" --by topic -o jsonl
check "to a topic that is not there" dlq 1 "not there" -- import "$unique.none.dlq" "$work/letters" --execute
check "from a file that is not there" dlq 1 "No such file" -- import "$spring" /nowhere/letters

# ---- Discard ----

check "a dry run of a discard" dlq 0 "2 letters would be discarded; --execute --expect 2" -- discard "$dead" --cause poison --reason "by hand"
check "discards nothing" counts 8
check "not as many as expected" dlq 3 "there are 2 letters, not 3 as expected; nothing was done" -- discard "$dead" --cause poison \
    --reason "by hand" --execute --expect 3
check "a discard" dlq 0 "2 letters discarded by me" -- discard "$dead" --cause poison --reason "by hand" --who me --execute --expect 2
check "they are left out" counts 6
check "but on request" counts 8 --discarded
check "the other topic has its own" dlq 0 '{"count":8,' -- groups "$copy" --by topic -o jsonl
check "list tells them apart" dlq 0 '"letters":6,"discarded":2' -- list "$dead" -o jsonl
check "show shows them" dlq 0 "cause         poison" -- show "$dead/1/3"
check "the rest by no expectation" dlq 0 "6 letters discarded" -- discard "$dead" --all --reason "all of it" --execute
check "nothing is left" counts 0
check "the audit has who and why, and no payload" bash -c 'kcat -q -b "$1" -t kurier.redrive -C -e -f "%k %s\n" | grep "discard $2 " >"$3"
    [ "$(wc -l <"$3")" = 8 ] && grep -q "\"reason\":\"by hand\",\"who\":\"me\"" "$3" && ! grep canary "$3"' - "$bootstrap" "$dead" "$work/audit"

# ---- Hostile letters ----

"$SOURCE/tests/dlq/letters.py" hostile >"$work/hostile"
check "hostile letters" dlq 0 "4 letters written" -- import "$copy" "$work/hostile" --execute
check "browse them" dlq 0 evil -- browse "$copy"
check "nothing reaches the terminal" is_tame "$work/out"
check "groups of them" dlq 0 many large -- groups "$copy"
check "nothing of them either" is_tame "$work/out"
place=$("$kurier" dlq browse "$copy" --limit 0 -o jsonl | grep '"cause":"many"' | sed -E 's/^\{"topic":"([^"]*)","partition":([0-9]+),"offset":([0-9]+),.*/\1\/\2\/\3/')
check "show one" dlq 0 "h\\x1b[1m = 9999\\x1b[2J" -- show "$place"
check "nor of it" is_tame "$work/out"
check "all as JSON" bash -c '"$1" dlq export "$2" >"$3"; "$1" dlq browse "$2" -o json --unmask >>"$3"' - "$kurier" "$copy" "$work/all"
check "JSON is tame" is_tame "$work/all"
check "on a terminal too" bash -c 'TERM=xterm script -qec "stty cols 60; $1 dlq browse $2" /dev/null </dev/null >"$3"' - "$kurier" "$copy" "$work/terminal"
check "there are the heading's colours alone" bash -c 'sed -e "s/\r$//" -e "s/\x1b\[1m//" -e "s/\x1b\[0m//" "$1" >"$1.plain"; grep -q LETTER "$1.plain"' - "$work/terminal"
check "and nothing else" is_tame "$work/terminal.plain"
check "no line is wider" bash -c '! LC_ALL=C.UTF-8 grep -E "^.{61}" "$1"' - "$work/terminal.plain"
check "not without colours" bash -c 'TERM=xterm NO_COLOR=1 script -qec "$1 dlq browse $2" /dev/null </dev/null | { ! grep -F "$(printf "\033[")"; }' - "$kurier" "$copy"

# ---- Lines that say that they belong elsewhere ----

# Every topic of this test with how many records it holds, and what the audit has of them.
world() {
    kcat -L -b "$bootstrap" | sed -nE "s/^ *topic \"([^\"]*$unique[^\"]*)\".*/\1/p" | sort | while read -r topic; do
        echo "$topic $(kcat -q -b "$bootstrap" -t "$topic" -C -e -f . | wc -c)"
    done
    echo "audit $(kcat -q -b "$bootstrap" -t kurier.redrive -C -e -f '%k %s\n' | grep -c "$unique")"
}
world >"$work/before"
held=$(sed -n "s/^$copy //p" "$work/before")
"$SOURCE/tests/dlq/letters.py" liars "$dead" >"$work/liars"
check "lines that name other topics" dlq 0 "3 letters written to $copy" -- import "$copy" "$work/liars" --execute
check "are written to the one that was asked for, and nothing else is" bash -c 'diff <(sed "s/^$2 .*/$2 $3/" "$1") "$4"' - \
    "$work/before" "$copy" $((held + 3)) <(world)
check "the audit is no topic of dead letters" dlq 3 "no topic of dead letters" -- import kurier.redrive "$work/liars" --execute
check "a line that asks for more than a letter has" dlq 1 "there is no such member" -- import "$copy" <(
    echo '{"key":null,"value":null,"headers":[],"execute":["kurier","topics"]}') --execute
check "nor has that done anything" bash -c 'diff <(sed "s/^$2 .*/$2 $3/" "$1") "$4"' - \
    "$work/before" "$copy" $((held + 3)) <(world)

# ---- A broker that goes away ----

if ! is_real; then
    # What it has seen is written, and then it is stopped.
    halfway() { # file, pid
        head -n 4 "$1"
        await 20 sh -c "'$kurier' dlq groups '$spring' --by topic -o jsonl | grep -q '\"count\":6,'"
        freeze "$2"
        head -n 4 "$1"
    }
    ends_unknown() {
        local status=0
        halfway "$work/usual" "$last" | "$kurier" dlq import "$spring" --execute --timeout 5 2>"$work/unknown" || status=$?
        kill -CONT "$last"
        [ $status = 4 ] && says "$work/unknown" "of 4 it is not known" && says "$work/unknown" "4 letters written"
    }
    check "what may have been written is not known" ends_unknown
fi
