#!/usr/bin/env bash
# Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
# The listings in the README and in the guide compile as they stand; what the pages name is there.
. "$(dirname "$0")/lib.sh"

flags=("-I$SOURCE/include" -std=c11 -Wall -Wextra -Werror)

# Each C listing of a page is a program (it has a main function), declarations, or a piece of a function; it may use what
# the listings before it on the page declare, a program only where it includes nothing itself. A piece finds the names below. A program that brings its own broker, or needs
# none, is run; what it prints is the page's next block of ```output.
names='kur_client *client, kur_producer *producer, kur_consumer *consumer, kur_listener *listener, kur_record *record, kur_arena *arena, kur_error error'
headers=$(printf '#include <%s>\n' kurier/kurier.h kurier/postgres.h kurier/sqlite.h kurier/registry.h stdio.h stdlib.h string.h)
listings() { # page
    awk -v out="$work/listing." '
        /^```c$/ {file = out sprintf("%02d", ++count) ".c"; on = 1; next}
        /^```output$/ {file = out sprintf("%02d", count) ".output"; on = 1; next}
        /^```$/ {on = 0}
        on {print > file}' "$SOURCE/$1"
}
indented_fences() { grep -nE '^[ \t]+```c' "$SOURCE/$1"; }
run() { # what it prints, when the page says so
    timeout 60 "$work/program" >"$work/printed" || return 1
    [ ! -f "$1" ] || diff "$1" "$work/printed"
}
programs=0 pieces=0
while read -r page; do
    rm -f "$work"/listing.*
    listings "$page"
    check "$page: each listing begins at the margin" test -z "$(indented_fences "$page")"
    echo "$headers" >"$work/declared.c"
    for file in "$work"/listing.*.c; do
        [ -f "$file" ] || continue
        name="$page, listing $(basename "$file" .c | sed 's/.*\.0*//')"
        if grep -q '^int main(' "$file"; then
            programs=$((programs + 1))
            grep -q '^#include' "$file" || { cat "$work/declared.c" "$file" >"$work/whole.c" && mv "$work/whole.c" "$file"; }
            check "$name: a program" gcc "${flags[@]}" -o "$work/program" "$file" "${libraries[@]}"
            if grep -q kur_embedded_broker_new "$file" || ! grep -q kur_client_new "$file"; then
                check "$name: runs" run "${file%.c}.output"
            fi
            { echo "$headers" && sed '/^int main(/,$d' "$file"; } >"$work/declared.c"
            continue
        fi
        pieces=$((pieces + 1))
        cat "$work/declared.c" "$file" >"$work/declarations.c"
        if gcc "${flags[@]}" -Wno-unused -fsyntax-only "$work/declarations.c" 2>/dev/null; then
            mv "$work/declarations.c" "$work/declared.c"
            continue
        fi
        { cat "$work/declared.c"
          echo "kur_status piece($names);"
          echo "kur_status piece($names) {"
          echo '(void)client, (void)producer, (void)consumer, (void)listener, (void)record, (void)arena, (void)error; {'
          echo '#line 1 "the listing"'
          cat "$file"
          echo '} return KUR_OK; }'; } >"$work/piece.c"
        check "$name: a piece" gcc "${flags[@]}" -Wno-unused -fsyntax-only "$work/piece.c"
    done
done < <(cd "$SOURCE" && ls README.md docs/guide/*.md)
check "there are programs in the pages" test "$programs" -ge 2
check "there are pieces in the pages" test "$pieces" -ge 1

# What is named: scripts, and the command line's nouns in its man page.
while read -r script; do
    check "$script is there" test -x "$SOURCE/$script"
done < <(cd "$SOURCE" && grep -hoE '\bscript/[a-z]+' README.md CONTRIBUTING.md docs/*.md docs/*/*.md | sort -u)
for script in "$SOURCE"/script/*; do
    check "${script##*/} --help" sh -c "'$script' --help | grep -q '^usage: script/${script##*/}'"
done
command=$BUILD/tools/kurier/kurier nouns=
if [ -x "$command" ]; then
    nouns=$("$command" --help | sed -nE 's/^  ([a-z]+)  .*/\1/p')
    check "the command line has nouns" test -n "$nouns"
fi
for noun in $nouns; do
    check "kurier.1 tells of $noun" grep -qE "^\.SS kurier $noun\b" "$BUILD/tools/kurier/kurier.1"
    check "docs/commands.md tells of $noun" grep -qF "\`kurier $noun" "$SOURCE/docs/commands.md"
done
