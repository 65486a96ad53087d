#!/usr/bin/env bash
# Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
# docs/abi.md lists every struct that is compiled into users' programs, as the compiler lays it out.
. "$(dirname "$0")/lib.sh"

table() { sed -nE 's/^\| `([a-z_]+)` \| ([0-9]+) \|.*/\1 \2/p' "$SOURCE/docs/abi.md" | sort; }
# Every struct with members in the public headers.
structs=$(sed -nE 's/^(typedef )?struct (kur_[a-z_]+) \{.*/\2/p' "$SOURCE"/include/kurier/*.h "$SOURCE"/include/kurier/sys/*.h | sort)
{
    echo '#include <kurier/kurier.h>'
    echo '#include <kurier/sys/clock.h>'
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
