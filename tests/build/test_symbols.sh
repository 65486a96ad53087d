#!/usr/bin/env bash
# Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
# What the shared library exports is what the headers promise, and its size.
. "$(dirname "$0")/lib.sh"

# Headers of the patterns layer; all others are the SDK's.
patterns='listener|delivery|retry|deadletter|ledger|filter|redrive|database|driver|outbox|relay|inbox'
# Headers of drivers and of the registry's client, a library each.
drivers='postgres|sqlite|registry'
functions() { # of the headers on standard input
    # A return type such as kur_client * has no parenthesis behind it, so each declaration gives its name alone.
    tr '\n' ' ' | grep -oE 'KUR_API [^;]*;' | grep -oE '\bkur_[a-z0-9_]+\(' | tr -d '(' | sort -u
}
cd "$SOURCE/include/kurier"
ls ./*.h sys/*.h | grep -vE "^\./($drivers)\.h$" | xargs cat | functions >"$work/all"
for driver in ${drivers//|/ }; do functions <"$driver.h" >"$work/promised.$driver"; done
# <kurier/typed.h> declares three of the listener's and one of the inbox's.
{ ls | grep -E "^($patterns)\.h$" | xargs cat && grep -A3 -hE 'KUR_API kur_status kur_(listener_on|listener_on_type_batch|delivery_emit|inbox_on)\(' typed.h; } |
    functions >"$work/promised.patterns"
comm -23 "$work/all" "$work/promised.patterns" >"$work/promised.kurier"
check "there are symbols" test "$(wc -l <"$work/promised.kurier")" -gt 60
check "there are symbols of the patterns" test "$(wc -l <"$work/promised.patterns")" -gt 20

look() { # name, library, static library, size in bytes at most
    local name=$1 library=$2
    nm -D --defined-only "$library" | awk '{print $3}' | sed 's/@.*//' | sort -u >"$work/exported"
    nm -D --defined-only "$library" | awk '$2 ~ /[BDGRSVC]/' >"$work/data"
    check "$name: exported is what is promised" diff "$work/promised.$name" "$work/exported"
    # script/package checks it again, against what is packaged; here one hears of it before.
    sed -n "/^$(basename "$library").0 /,/^lib/s/^ \(.*\)@Base.*/\1/p" "$SOURCE"/debian/*.symbols | sort >"$work/packaged"
    check "$name: debian/*.symbols list it (script/package --symbols writes the file)" diff "$work/packaged" "$work/exported"
    check "$name: no data is exported" test ! -s "$work/data"
    strip -o "$work/stripped" "$library"
    check "$name: at most $(($4 / 1000)) kB stripped" test "$(stat -c %s "$work/stripped")" -le "$4"
    # A name that is hidden but not static begins with kur__, so that the static library takes no name of a program's.
    nm -g --defined-only "$3" 2>/dev/null | awk 'NF == 3 {print $3}' | grep -vE '^kur_' >"$work/foreign" || true
    check "$name: the static library has no name without its prefix" test ! -s "$work/foreign"
    nm -u "$library" | awk '{print $2}' | sed 's/@.*//' |
        grep -E '^(abort|exit|_exit|puts|printf|putchar|perror|json_set_alloc_funcs)$' >"$work/calls" || true
    check "$name: it does not print or exit" test ! -s "$work/calls"
}
look kurier "$BUILD/src/libkurier.so" "$BUILD/src/libkurier.a" 420000 # a fifth of it is Avro
look patterns "$BUILD/patterns/libkurier-patterns.so" "$BUILD/patterns/libkurier-patterns.a" 420000
# The patterns, and the drivers, call the SDK by its public names alone.
alone() { # name, library
    nm -D --undefined-only "$2" | awk '{print $2}' | grep -E '^(kur__|rd_kafka)' >"$work/private" || true
    check "$1: nothing private of the SDK, nothing of librdkafka" test ! -s "$work/private"
}
alone patterns "$BUILD/patterns/libkurier-patterns.so"
for driver in ${drivers//|/ }; do
    library=$BUILD/patterns/$driver/libkurier-$driver
    [ -e "$library.so" ] || continue # not wanted in this build
    look "$driver" "$library.so" "$library.a" 100000
    alone "$driver" "$library.so"
done
