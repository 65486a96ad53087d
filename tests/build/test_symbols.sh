#!/usr/bin/env bash
# Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
# What the shared library exports is what the headers promise, and its size.
. "$(dirname "$0")/lib.sh"

library=$BUILD/src/libkurier.so
cat "$SOURCE"/include/kurier/*.h "$SOURCE"/include/kurier/sys/*.h | tr '\n' ' ' |
    grep -oE 'KUR_API [^;]*;' | grep -oE '\bkur_[a-z0-9_]+\(' | tr -d '(' | sort -u >"$work/promised.all"
# A return type such as kur_client * has no parenthesis behind it, so each declaration gives its name alone.
sort -u "$work/promised.all" >"$work/promised"
nm -D --defined-only "$library" | awk '{print $3}' | sed 's/@.*//' | sort -u >"$work/exported"
nm -D --defined-only "$library" | awk '$2 ~ /[BDGRSVC]/' >"$work/data"
check "there are symbols" test "$(wc -l <"$work/promised")" -gt 60
check "exported is what is promised" diff "$work/promised" "$work/exported"
# script/package checks it again, against what is packaged; here one hears of it before.
sed -nE 's/^ (.*)@Base.*/\1/p' "$SOURCE/debian/libkurier0.symbols" | sort >"$work/packaged"
check "debian/libkurier0.symbols lists it (script/package --symbols writes the file)" diff "$work/packaged" "$work/exported"
check "no data is exported" test ! -s "$work/data"
strip -o "$work/stripped" "$library"
check "at most 400 kB stripped" test "$(stat -c %s "$work/stripped")" -le 400000
# A name that is hidden but not static begins with kur__, so that the static library takes no name of a program's.
nm -g --defined-only "$BUILD/src/libkurier.a" 2>/dev/null | awk 'NF == 3 {print $3}' |
    grep -vE '^kur_' >"$work/foreign" || true
check "the static library has no name without its prefix" test ! -s "$work/foreign"
nm -u "$library" | awk '{print $2}' | sed 's/@.*//' | grep -E '^(abort|exit|_exit|puts|printf|putchar|perror|json_set_alloc_funcs)$' >"$work/calls" || true
check "the library does not print or exit" test ! -s "$work/calls"
