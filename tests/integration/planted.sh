#!/usr/bin/env bash
# Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
# A test of the integration suite: bugs in what stands around the listener's decisions, in relays and in drivers, each of
# which it must find.
set -euo pipefail

usage() {
    cat <<USAGE
usage: tests/integration/planted.sh [--check] [NAME…]

Builds the tests with one bug at a time, each a patch under tests/integration/planted whose first line names a test, and
runs that test: it has to fail. "test: PROGRAM TEST [VARIABLE=VALUE…]" runs on the embedded broker, "kafka: …" on a real one
(script/kafka). BUILD is a build directory with the tests (default build-gcc).
The last line is "K of N found".
USAGE
}

check=false
names=()
while [ $# -gt 0 ]; do
    case $1 in
    --check) check=true ;; # says at the end what script/test adds up
    --help | -h) usage && exit 0 ;;
    -*) usage >&2 && exit 2 ;;
    *) names+=("$1") ;;
    esac
    shift
done
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
build=${BUILD:-$root/build-gcc}
if [ ${#names[@]} = 0 ]; then
    for patch in "$here"/planted/*.patch; do names+=("$(basename "$patch" .patch)"); done
fi
work=$(mktemp -d "${TMPDIR:-/tmp}/kurier-planted.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
# A patched file stands in front of the library that holds the right one.
libraries=("$build"/tests/libtest-support.a "$build"/patterns/libkurier-patterns.a "$build"/src/libkurier.a)
drivers=("$build"/patterns/sqlite/libkurier-sqlite.a "$build"/patterns/postgres/libkurier-postgres.a)
read -ra flags < <(pkg-config --cflags rdkafka jansson check)
read -ra others < <(pkg-config --libs rdkafka jansson check)
found=0
unset KURIER_BOOTSTRAP
for name in "${names[@]}"; do
    patch=$here/planted/$name.patch status=0 sources=() line= linked=("${libraries[@]}") more=() server=()
    read -r where program test variables <"$patch"
    mkdir -p "$work/$name"
    cp -r "$root"/patterns/* "$work/$name/"
    patch -s -p1 -d "$work/$name" <"$patch" || { echo "$name: the patch does not fit any more" >&2; exit 1; }
    while read -r file; do sources+=("$work/$name/$file"); done < <(sed -n 's,^+++ b/,,p' "$patch")
    [ "$where" != kafka: ] || server=("$root/script/kafka" run)
    case $program in # those of relays that are killed, over databases
    outbox_crash | outbox_exactly_crash)
        sources+=("$root/tests/books.c")
        linked=("$build"/tests/libpatterns-crashing.a "${drivers[@]}" "${libraries[@]}")
        read -ra more < <(pkg-config --cflags --libs sqlite3 libpq)
        more+=(-DKUR__HAS_CRASH_POINTS)
        ;;
    esac
    gcc -O1 -g -std=gnu11 -D_GNU_SOURCE -fvisibility=hidden "-I$work/$name" "-I$root/patterns" "-I$root/include" "-I$root/src" \
        "${flags[@]}" "$root/tests/integration/test_$program.c" "${sources[@]}" -Wl,--start-group "${linked[@]}" -Wl,--end-group \
        "${others[@]}" "${more[@]}" -pthread -o "$work/$name/test"
    # shellcheck disable=SC2086
    timeout 300 "${server[@]}" env SOURCE="$root" KURIER_TEST="$test" $variables "$work/$name/test" >"$work/log" 2>&1 || status=$?
    line=$(sed -n 's/^.*:[FE]:[^:]*:\([^:]*\):[0-9]*: \(.*\)/\1: \2/p' "$work/log" | head -n 1)
    if [ $status = 0 ] || [ -z "$line" ]; then
        printf '%-36s NOT FOUND by %s, status %d\n' "$name" "$program" $status
        continue
    fi
    found=$((found + 1))
    printf '%-36s %.160s\n' "$name" "$line"
    rm -rf "${work:?}/$name"
done
$check && echo "# planted_shell: $found passed, $((${#names[@]} - found)) failed, 0 skipped"
echo "$found of ${#names[@]} found"
[ $found = ${#names[@]} ]
