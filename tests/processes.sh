# Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
# Sourced by the tests of programs as processes, in place of build/lib.sh, which it brings.
. "$SOURCE/tests/build/lib.sh"

export ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=halt_on_error=1
pids=()
# Whether a process of this test's still runs: on a busy machine a pid is another's minutes after its process has ended.
lives() { grep -qs "^PPid:[[:space:]]*$$\$" "/proc/$1/status"; } # pid
# What is started ends with the test, before the closing line of lib.sh.
eval "closing=($(trap -p EXIT))"
end() {
    local pid
    for pid in "${pids[@]}"; do
        ! lives "$pid" || kill -9 "$pid"
    done
    wait
}
trap 'before=$?; set +e; end 2>/dev/null; (exit $before); '"${closing[2]}" EXIT

start() { # log, command…: its standard output and error in $work/log
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
        sleep 0.1
    done
}

# Stops a process until SIGCONT. On a busy machine its threads may run on until one of them has taken the signal.
freeze() { # pid
    kill -STOP "$1"
    await 60 grep -q '^[0-9]* (.*) [Tt] ' "/proc/$1/stat"
}

# Whether a process ends with 0 after SIGTERM.
ends() { # pid
    kill -TERM "$1"
    await 60 not lives "$1" || { echo "still there" && return 1; }
    wait "$1" || { echo "exit status $?" && findings && return 1; }
}
# What sanitizers have written into the logs.
findings() { grep -hsaE -A 60 'WARNING: ThreadSanitizer|ERROR: (Address|Leak)Sanitizer|runtime error:' "$work"/* | head -n 200 || true; }
not() { ! "$@"; }
has() { grep -qE -- "$2" "$work/$1"; } # log, pattern
# On the broker that KURIER_BOOTSTRAP names a topic appears when it is first asked for, and has a leader a little later.
has_leader() { kcat -L -b "$KURIER_BOOTSTRAP" -t "$1" | grep -q 'partition 0, leader [0-9]'; } # topic
# On the broker that KURIER_BOOTSTRAP names all find the same orders: two inventories, each of a group of its own, would
# answer each of them twice. Waits until the other test that has one is over.
sole_inventory() {
    exec 8<"$BUILD/examples/shop/shop-inventory"
    flock 8
}
