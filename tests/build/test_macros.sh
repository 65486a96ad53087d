#!/usr/bin/env bash
# Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
# One program in C and one in C++ that use every macro from two source files each.
. "$(dirname "$0")/lib.sh"

here=$SOURCE/tests/build/macros
flags=(-Wall -Wextra -Wpedantic -Werror)
# In C++, -Wextra complains of members that designated initialisers leave out, unless the macro comes from a system header,
# as an installed one does.
c_include=-I$SOURCE/include cxx_include=(-isystem "$SOURCE/include")
for pair in gcc:g++ clang-14:clang++-14; do
    c=${pair%:*} cxx=${pair#*:}
    command -v "$c" >/dev/null || continue
    for file in shop use main; do
        check "$file.c by $c" "$c" -std=c11 "${flags[@]}" "$c_include" -c "$here/$file.c" -o "$work/$file.o"
    done
    check "links by $c" "$c" -o "$work/in-c" "$work"/{shop,use,main}.o "${libraries[@]}"
    check "runs by $c" "$work/in-c"
    for file in use_cxx main_cxx; do
        check "$file.cc by $cxx" "$cxx" -std=c++20 "${flags[@]}" "${cxx_include[@]}" -c "$here/$file.cc" -o "$work/$file.o"
    done
    check "links by $cxx" "$cxx" -o "$work/in-cxx" "$work"/{shop,use_cxx,main_cxx}.o "${libraries[@]}"
    check "runs by $cxx" "$work/in-cxx"
done

# Every macro that users are to write is used: each KUR_… with arguments that a header defines.
macros=$(sed -nE 's/^#define (KUR_[A-Z][A-Z_]*)\(.*/\1/p' "$SOURCE"/include/kurier/*.h |
    grep -vE '^KUR_(KIND_|PRINTF|STATUS_LIST)' | sort -u)
check "the headers have macros" test "$(wc -l <<<"$macros")" -gt 10
for macro in $macros; do
    check "$macro is used in C" grep -qE "\\b$macro\\(" "$here"/{shop.h,shop.c,use.c,main.c}
    case $macro in *_DEFINE | KUR_ITEM) continue ;; esac # descriptors are made in C
    check "$macro is used in C++" grep -qE "\\b$macro\\(" "$here"/{shop.h,use_cxx.cc,main_cxx.cc}
done
