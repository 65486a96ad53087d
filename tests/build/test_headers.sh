#!/usr/bin/env bash
# Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
# Each public header alone, as strict C11 and as C++20, with both compilers.
. "$(dirname "$0")/lib.sh"

flags=(-Wall -Wextra -Wpedantic -Werror "-I$SOURCE/include" -fsyntax-only)
compilers=(gcc:g++)
command -v clang-14 >/dev/null && compilers+=(clang-14:clang++-14)
while read -r header; do
    # By a file that includes it: a header as the main file has warnings of its own.
    printf '#include <%s>\n#include <%s>\ntypedef int something_in_the_file;\n' "$header" "$header" >"$work/alone.c"
    for pair in "${compilers[@]}"; do
        check "$header as C11, ${pair%:*}" "${pair%:*}" -std=c11 "${flags[@]}" -x c "$work/alone.c"
        check "$header as C++20, ${pair#*:}" "${pair#*:}" -std=c++20 "${flags[@]}" -x c++ "$work/alone.c"
    done
done < <(cd "$SOURCE/include" && find kurier -name '*.h' | sort)
