#!/usr/bin/env bash
# Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
# The listings in the README and in the guide compile as they stand; what they point to is there.
. "$(dirname "$0")/lib.sh"

flags=("-I$SOURCE/include" -std=c11 -Wall -Wextra -Werror)
library=("-L$BUILD/src" -lkurier "-Wl,-rpath,$BUILD/src")

# Each C listing that has a main function is a program; one without is a piece, which stands in a function behind the
# declarations of the program before it.
listings() { # page
    awk -v out="$work/$(basename "$1")" '/^```c$/ {n++; on = 1; next} /^```$/ {on = 0} on {print > (out "." n ".c")}' "$SOURCE/$1"
}
programs=0
for page in README.md docs/guide/getting-started.md docs/guide/when-events.md; do
    check "$page is there" test -f "$SOURCE/$page"
    listings "$page"
    declarations=
    for file in "$work/$(basename "$page")".*.c; do
        [ -f "$file" ] || continue
        name="$page, listing $(basename "$file" .c | sed 's/.*\.//')"
        if grep -q 'int main' "$file"; then
            programs=$((programs + 1))
            check "$name: a program" gcc "${flags[@]}" -o "$work/program" "$file" "${library[@]}"
            declarations=$(sed '/int main/,$d' "$file")
        elif [ -n "$declarations" ]; then
            { echo "$declarations"
              echo 'void piece(kur_client *client); void piece(kur_client *client) { kur_error error = {0}; (void)client; (void)error;'
              cat "$file"
              echo '}'; } >"$work/piece.c"
            check "$name: a piece" gcc "${flags[@]}" -fsyntax-only "$work/piece.c"
        fi
    done
done
check "there are programs in the pages" test "$programs" -ge 2

# Links to files, and scripts that are named.
while read -r page target; do
    check "$page: $target" test -e "$SOURCE/$(dirname "$page")/${target%%#*}"
done < <(cd "$SOURCE" && grep -oE '\]\([^)#:]+(#[^)]*)?\)' README.md CONTRIBUTING.md docs/*.md docs/*/*.md | sed -E 's/^([^:]+):\]\((.*)\)$/\1 \2/')
while read -r script; do
    check "$script is there" test -x "$SOURCE/$script"
done < <(cd "$SOURCE" && grep -hoE '\bscript/[a-z]+' README.md CONTRIBUTING.md docs/*.md docs/*/*.md | sort -u)
for script in "$SOURCE"/script/*; do
    check "${script##*/} --help" sh -c "'$script' --help | grep -q '^usage: script/${script##*/}'"
done
