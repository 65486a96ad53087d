#!/usr/bin/env bash
# Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
# `kurier redrive` as a person uses it, on the embedded broker or on the real one that KURIER_BOOTSTRAP names: a service
# that is broken, its letters planned, sent again, and followed.
. "$(dirname "$0")/lib.sh"

helpers=$BUILD/tests/command
topic=$unique.orders group=email-$unique
dead=$topic.$group.dlq
redrive() { noun=redrive kurier "$@"; }

# ---- Command lines ----

check "a plan without topics" redrive 3 "which topics?" -- plan --bootstrap a:1
check "a topic that has no dead letters" redrive 3 "is not the name of a topic of dead letters" -- plan orders --bootstrap a:1
check "a target that is none" redrive 3 "--target takes retry or origin" -- plan a.dlq --target elsewhere --bootstrap a:1
check "a force that is none" redrive 3 "--force takes" -- plan a.dlq --force all --bootstrap a:1
check "a start without a plan" redrive 3 "which plan?" -- start --bootstrap a:1
check "a rate that is none" redrive 3 "--rate needs" -- start x --rate fast --bootstrap a:1
check "a share that is none" redrive 3 "--abort-if-refail needs" -- start x --abort-if-refail 200 --bootstrap a:1
check "nobody listens" redrive 1 "127.0.0.1:1" -- status --bootstrap 127.0.0.1:1 --timeout 5

# ---- A broken service ----

# The group's own are there before it: that they come is a rebalance, and what is in hand then is handled again.
real_or_embedded "$topic:2" "$dead:2" "$topic.$group.retry-short:2" "$topic.$group.retry-medium:2" "$topic.$group.retry-long:2"
check "there are no plans yet" redrive 0 -- status
start service "$helpers/repaired" "$topic" "$group" "$work/repaired"
service=$last
check "30 orders" "$helpers/lagging" publish "$topic" 0 20 0
check "and more" "$helpers/lagging" publish "$topic" 1 10 0
letters() { "$kurier" dlq list "$dead" -o jsonl 2>/dev/null | grep -q '"letters":30,'; }
check "all of them are dead" await 60 letters

# ---- Planned ----

planned() { "$kurier" redrive plan "$dead" --where 'cause = "mail.down"' --reason "ticket 4711" --who ann "$@" -o jsonl >"$work/out" 2>"$work/err"; }
check "a plan" await 60 planned
check "has all of them" holds 'it[-1]["letters"] == 30 and it[-1]["state"] == "planned" and it[-1]["planned_by"] == "ann"'
check "and says where they go" holds 'it[-1]["routes"][0]["target"].endswith(".retry-short") and it[-1]["routes"][0]["refused"] is None'
plan=$(value id)
check "for people" redrive 0 "30" "retry-short" "nothing was sent" -- plan "$dead"
check "headers of ours are not left out" redrive 3 "kurier-" -- plan "$dead" --strip-header 'kurier-*'
check "a filter that nothing fits" redrive 3 "no letter is left" -- plan "$dead" --cause nothing
check "status lists it" redrive 0 "$plan" planned ann -- status
check "and shows it" redrive 0 "ticket 4711" "planned" "$dead" -- status "$plan"
check "one that is not there" redrive 1 "there is no plan" -- status "${plan%????????}00000000"
check "without --execute nothing is sent" redrive 0 "30 letters would be sent" -- start "$plan"
check "a plan that was changed is refused" redrive 3 "has the digest" -- start "$plan" --digest 000 --execute

# ---- Not repaired: the canary ----

check "the canary fails again" redrive 2 "aborted: 5 of 30 letters are sent; 5 of them failed again" -- start "$plan" --canary 5 --execute
check "and that is the end of the plan" redrive 3 "is aborted" -- start "$plan" --execute
check "watch tells what has become of them" redrive 2 "5 failed again, 0 pending" -- watch "$plan" --every 100ms

# ---- Repaired ----

touch "$work/repaired"
check "a plan of the rest" redrive 0 -- plan "$dead" --set-header sent=again -o jsonl
check "has those that failed again too" holds 'it[-1]["letters"] == 30 and it[-1]["left_out"]["sent"] == 5'
plan=$(value id) digest=$(value digest)
start first "$kurier" redrive start "$plan" --rate 0.5 --canary 3 --digest "${digest:0:8}" --execute -o jsonl
first=$last
sending() { "$kurier" redrive status "$plan" -o jsonl | grep -q '"acknowledged":[1-9]'; }
check "it is sent, slowly" await 60 sending
check "a second one is refused" redrive 3 "is being run by" -- start "$plan" --execute
check "pause" redrive 0 "sends nothing more" -- pause "$plan"
paused() { "$kurier" redrive status "$plan" -o jsonl | grep -q '"state":"paused"'; }
check "it is paused" await 60 paused
check "resume" redrive 0 "goes on" -- resume "$plan"
running() { "$kurier" redrive status "$plan" -o jsonl | grep -q '"state":"running"'; }
check "it goes on" await 60 running
kill -TERM $first
ended=0
wait $first || ended=$?
check "SIGTERM stops it in order, as Ctrl-C does" test $ended = 2
check "and says how far it was" has first '"state":"stopped"'
check "killed in the middle" sh -c '"$1" redrive start "$2" --rate 0.5 --lease 1500ms --execute >/dev/null 2>&1 & sleep 3; kill -9 $!' - "$kurier" "$plan"
check "the next one goes on" redrive 0 "done: 30 of 30 letters are sent" -- start "$plan" --execute
headed() { [ "$(kcat -q -b "$KAFKA_BOOTSTRAP_SERVERS" -t "$topic.$group.retry-short" -C -e -f '%h\n' | grep -c 'sent=again')" -ge 30 ]; }
check "each with the header that the plan has" headed
check "all succeeded" redrive 0 '"state":"done"' '"succeeded":30' -- watch "$plan" -o jsonl --every 100ms
handled() { [ "$(grep -c ^handled "$work/service" | sort -u)" -ge 30 ] && [ "$(grep ^handled "$work/service" | sort -u | wc -l)" = 30 ]; }
check "each order was handled" await 60 handled
check "status tells it" redrive 0 "succeeded      30" "failed again   0" "pending        0" -- status "$plan"
check "and for programs" redrive 0 -- status "$plan" -o json
check "with all of it" holds 'it[-1]["succeeded"] == 30 and it[-1]["failed"] == 0 and it[-1]["state"] == "done"'
check "nothing is left" redrive 3 "were sent by an earlier run" -- plan "$dead"

# ---- Cancelled ----

check "a plan that is not started" redrive 0 -- plan "$dead" --force sent -o jsonl
plan=$(value id)
check "is cancelled" redrive 0 -- cancel "$plan"
check "and cannot be started" redrive 3 "is cancelled" -- start "$plan" --execute
check "cancelled twice" redrive 3 "is cancelled" -- cancel "$plan"
check "the audit has who" bash -c 'kcat -q -b "$1" -t kurier.redrive -C -e -f "%k %s\n" | grep "^event $2 " | grep -q "\"action\":\"cancel\",\"who\":\"[^\"]*@"' - "$KAFKA_BOOTSTRAP_SERVERS" "$plan"
kill -TERM $service
check "the service ends" wait $service
