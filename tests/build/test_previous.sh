#!/usr/bin/env bash
# Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
# A program that was built with the headers of the release before runs with the library of today (docs/abi.md).
# KURIER_PREVIOUS=REF takes those of any commit instead.
. "$(dirname "$0")/lib.sh"

previous=${KURIER_PREVIOUS:-$(git -C "$SOURCE" describe --tags --abbrev=0 --match 'v[0-9]*' HEAD^ 2>/dev/null)} || true
if [ -z "$previous" ]; then
    skip "there is no earlier release whose headers could be taken"
    exit 0
fi
soversion() { sed -n "s/.*soversion: '\([0-9]*\)'.*/\1/p"; }
was=$(git -C "$SOURCE" show "$previous:src/meson.build" | soversion) is=$(soversion <"$SOURCE/src/meson.build")
if [ "$was" != "$is" ]; then
    skip "the library is another since $previous: libkurier.so.$is, not .$was"
    exit 0
fi

git -C "$SOURCE" archive "$previous" include tests/build/macros | tar -x -C "$work"
for file in shop use layer main; do
    check "$file.c with the headers of $previous" gcc -std=c11 "-I$work/include" -c "$work/tests/build/macros/$file.c" -o "$work/$file.o"
done
check "links" gcc -o "$work/program" "$work"/{shop,use,layer,main}.o "-L$BUILD/src" -lkurier "-Wl,-rpath,$BUILD/src"
check "a program of $previous runs with the library of today" "$work/program"
