#!/usr/bin/env bash
# Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
# docs/abi.md lists every struct that is compiled into users' programs, as the compiler lays it out.
. "$(dirname "$0")/lib.sh"

table() { sed -nE 's/^\| `([a-z_]+)` \| ([0-9]+) \|.*/\1 \2/p' "$SOURCE/docs/abi.md" | sort; }
# Every struct with members in the public headers.
structs=$(sed -nE 's/^(typedef )?struct (kur_[a-z_]+) \{.*/\2/p' "$SOURCE"/include/kurier/*.h "$SOURCE"/include/kurier/sys/*.h | sort)
{
    echo '#include <kurier/kurier.h>'
    echo '#include <kurier/postgres.h>'
    echo '#include <kurier/registry.h>'
    echo '#include <kurier/sqlite.h>'
    echo '#include <kurier/sys/clock.h>'
    echo '#include <kurier/sys/codec.h>'
    echo '#include <kurier/sys/record.h>'
    echo '#include <stdio.h>'
    echo 'int main(void) {'
    for struct in $structs; do echo "printf(\"$struct %zu\\n\", sizeof(struct $struct));"; done
    echo 'return 0; }'
} >"$work/sizes.c"
check "compiles" gcc "-I$SOURCE/include" -o "$work/sizes" "$work/sizes.c"
"$work/sizes" >"$work/are"
table >"$work/listed"
check "there are structs" test "$(wc -l <"$work/are")" -gt 10
if [ "$(uname -m)" = x86_64 ] || [ "$(uname -m)" = aarch64 ]; then
    check "docs/abi.md lists each with its size" diff "$work/listed" "$work/are"
fi
# How each may grow: options and views by their size, descriptors by their abi, the rest is frozen.
for struct in $structs; do
    declaration=$(sed -n "/struct $struct {/,/^}/p" "$SOURCE"/include/kurier/*.h "$SOURCE"/include/kurier/sys/*.h | sed -n 2p)
    how=$(sed -nE "s/^\| \`$struct\` \| [0-9]+ \| ([a-z]+).*/\1/p" "$SOURCE/docs/abi.md")
    case $how in
    size) check "$struct begins with its size" grep -q 'size_t size;' <<<"$declaration" ;;
    abi) check "$struct begins with its abi" grep -q 'uint32_t abi;' <<<"$declaration" ;;
    stride | frozen) check "$struct says how it grows" true ;;
    *) check "$struct says how it grows" false ;;
    esac
done

# A program that was built with the headers of the last release runs with this library. Before the first release it is built
# with today's, so that it is known to work.
soname=$(readelf -d "$BUILD/src/libkurier.so" | sed -nE 's/.*SONAME.*\[(.*)\]/\1/p')
git -C "$SOURCE" rev-parse -q --verify HEAD >/dev/null 2>&1 && is_clone=true || is_clone=false
tag=${KURIER_PREVIOUS:-} # any commit, when it is given
if $is_clone && [ -z "$tag" ]; then
    # Of the releases with this soname, the newest that is not the commit at hand itself.
    tag=$(git -C "$SOURCE" tag --list "v${soname##*.}.*" --merged HEAD --no-contains HEAD --sort=-version:refname | head -n 1)
fi
# The first heading of the CHANGELOG is the version at hand.
released=$(grep -E "^## ${soname##*.}\.[0-9.]+" "$SOURCE/CHANGELOG.md" | sed -n 2p)
then=$work/then
mkdir "$then"
if [ -n "$tag" ]; then
    git -C "$SOURCE" archive "$tag" include tests/build/abi tests/build/macros | tar -x -C "$then"
else
    [ -z "$released" ] || skip "earlier releases are not in this clone: git fetch --tags"
    cp -r "$SOURCE/include" "$then"
    mkdir -p "$then/tests/build"
    cp -r "$SOURCE/tests/build/abi" "$SOURCE/tests/build/macros" "$then/tests/build"
fi
echo "# against ${tag:-the headers of today, for there is no earlier release here}"
check "the program of ${tag:-today} compiles" gcc -std=c11 "-I$then/include" -o "$work/program" "$then/tests/build/abi/program.c" "${libraries[@]}"
check "runs with today's library" timeout 60 "$work/program"
check "one that uses every macro compiles" gcc -std=c11 "-I$then/include" -o "$work/macros" "$then"/tests/build/macros/*.c \
    "${libraries[@]}"
check "runs with today's library" timeout 60 "$work/macros"

# What was promised then holds now: layouts, values, types of functions, symbols.
promises() { # INCLUDE DIRECTORY
    mkdir "$2"
    "$SOURCE/tests/build/abi/layout.py" "$1" "$2"
    gcc "-I$1" -o "$2/layout" "$2/layout.c"
    "$2/layout" | sort >"$2/lines"
}
promises "$then/include" "$work/promised"
promises "$SOURCE/include" "$work/kept"
check "there are promises" test "$(wc -l <"$work/promised/lines")" -gt 200
# A struct that says its size may have become larger; what stood in it stands where it stood.
frozen=$(sed -nE 's/^\| `([a-z_]+)` \| [0-9]+ \| (stride|frozen).*/struct \1/p' "$SOURCE/docs/abi.md")
grep -vE '^struct ' "$work/promised/lines" >"$work/must-be"
grep -E '^struct ' "$work/promised/lines" | grep -wFf <(echo "$frozen") >>"$work/must-be" || true
check "every member, value and frozen struct is where it was" test -z "$(sort "$work/must-be" | comm -23 - "$work/kept/lines" | tee "$work/moved")"
[ ! -s "$work/moved" ] || sed 's/^/    /' "$work/moved" >&2
while read -r _ struct size; do
    check "$struct has not become smaller" test "$(sed -n "s/^struct $struct //p" "$work/kept/lines")" -ge "$size"
done < <(grep -E '^struct ' "$work/promised/lines")
# Some functions have a macro of their name in front.
{ printf '#include <kurier/%s.h>\n' kurier postgres registry sqlite && sed -nE 's/^.*[ *](kur_[a-z0-9_]+)\(.*/#undef \1/p' "$work/promised/prototypes.h" &&
    cat "$work/promised/prototypes.h"; } >"$work/prototypes.c"
check "every function has its type" gcc "-I$SOURCE/include" -std=c11 -fsyntax-only "$work/prototypes.c"
grep -v '^typedef ' "$work/promised/prototypes.h" | grep -ohE '\bkur_[a-z0-9_]+\(' | tr -d '(' | sort -u >"$work/functions"
nm -D --defined-only "$BUILD/src/libkurier.so" "$BUILD"/patterns/libkurier-patterns.so "$BUILD"/patterns/*/libkurier-*.so | awk '{print $3}' | sort -u >"$work/exported"
grep -v '_callback$\|_invoke$\|_function$' "$work/functions" | comm -23 - "$work/exported" >"$work/lost"
check "every function is exported" diff /dev/null "$work/lost"
