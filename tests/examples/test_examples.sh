#!/usr/bin/env bash
# Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
# The examples, as processes on an embedded broker.
. "$(dirname "$0")/../build/lib.sh"

export ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=halt_on_error=1
examples=$BUILD/examples
pids=()
eval "closing=($(trap -p EXIT))"
trap 'before=$?; set +e; [ ${#pids[@]} = 0 ] || kill -9 "${pids[@]}" 2>/dev/null; wait 2>/dev/null; (exit $before); '"${closing[2]}" EXIT

start() { # log, command…
    local log=$work/$1
    shift
    "$@" >>"$log" 2>&1 &
    last=$!
    pids+=($last)
}
await() { # seconds, command…
    local until=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $until ] || return 1
        sleep 0.05
    done
}
has() { grep -qE -- "$2" "$work/$1"; } # log, pattern
ends() { # pid: whether it ends with 0 after SIGTERM
    kill -TERM "$1"
    await 30 gone "$1" || { echo "still there" && return 1; }
    wait "$1" || { echo "exit status $?" && return 1; }
}
gone() { ! kill -0 "$1"; }

start broker "$BUILD/tools/kurier/kurier" broker --topic pictures:4
broker=$last
await 10 has broker ':[0-9]+$'
KAFKA_BOOTSTRAP_SERVERS=$(head -n 1 "$work/broker")
export KAFKA_BOOTSTRAP_SERVERS

for name in competing event_loop; do
    check "$name --help" sh -c "'$examples/$name' --help | grep -q '^usage: .*$name'"
    check "$name is a page" test "$(wc -l <"$SOURCE/examples/$name.c")" -lt 80
done

# Two instances share 200 pictures; one is handed over, those that failed at first come again.
start competing.1 "$examples/competing"
first=$last
start competing.2 "$examples/competing"
second=$last
start loop "$examples/event_loop" pictures bytes
loop=$last
# Who comes later than the others by 3 s waits for most of a session's 45 s, on this broker.
for name in competing.1 competing.2; do
    check "$name is a member of its group" await 90 has $name 'partitions assigned'
done
check "200 pictures are added" "$examples/competing" 200
all() { cat "$work"/competing.?; }
done_with() { [ "$(all | grep ': picture ' | sort -u | wc -l)" = 199 ]; }
check "each picture is worked on but one" await 60 done_with
check "each instance has done its share" sh -c "for log in '$work'/competing.?; do grep -q ': picture ' \$log || exit 1; done"
check "that one is rejected" await 10 sh -c "cat '$work'/competing.? | grep -q 'rejected: .*pictures.unlucky: nobody wants'"
check "what failed is tried again" test "$(all | grep ', attempt 2$' | sort -u | wc -l)" = 20
check "the loop has counted all" await 30 has loop '^200 records, [0-9]+ bytes$'
for pid in $first $second $loop; do
    check "SIGTERM ends it with 0" ends $pid
done
check "the broker ends with 0" ends $broker
