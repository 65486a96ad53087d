#!/usr/bin/env bash
# Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
# A test of the simulation: each planted bug must be found by it.
set -euo pipefail

usage() {
    cat <<END
usage: tests/simulation/planted.sh [--seeds N] [--check] [NAME…]

Builds the listener's decisions with one bug at a time, each a patch under tests/simulation/planted, and plays seeds until
one fails, at most N (default 500). The last line is "K of N found".
END
}

seeds=500
check=false
names=()
while [ $# -gt 0 ]; do
    case $1 in
    --seeds) seeds=${2:?} && shift ;;
    --check) check=true ;; # says at the end what script/test adds up
    --help | -h) usage && exit 0 ;;
    -*) usage >&2 && exit 2 ;;
    *) names+=("$1") ;;
    esac
    shift
done
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
if [ ${#names[@]} = 0 ]; then
    for patch in "$here"/planted/*.patch; do names+=("$(basename "$patch" .patch)"); done
fi
work=$(mktemp -d "${TMPDIR:-/tmp}/kurier-planted.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
flags=(-O1 -ffunction-sections -std=gnu11 -D_GNU_SOURCE "-I$root/include" "-I$root/src" "-I$here")

# The decisions alone, without the listener around them. What no bug is planted in is compiled once. A bug may also corrupt memory, which has to be told at once.
sanitize=(-fsanitize=address,undefined -fno-sanitize-recover=undefined)
compile() { # file, object, further flags…
    gcc "${flags[@]}" "${sanitize[@]}" "${@:3}" -c "$1" -o "$2"
}
for file in "$root"/patterns/listener/{machine,order,ordered,origins,source,partition,transaction,flow,window,commit,park,lane,ledger,ledger_text}.c "$root"/patterns/retry/names.c "$here"/{checker,world,topics,ordering,transactions,main}.c "$root"/src/base/{error,memory,bytes,base64,utf8}.c; do
    compile "$file" "$work/$(basename "$file" .c).o" "-I$root/patterns" &
    [ "$(jobs -rp | wc -l)" -lt 2 ] || wait -n
done
wait

# Builds with the bug and plays. Two at a time; lines come as they are done.
play() { # name
    local name=$1 object objects=() file status=0
    mkdir -p "$work/$name"
    cp -r "$root/patterns/listener" "$work/$name/"
    patch -s -p1 -d "$work/$name" <"$here/planted/$name.patch" || { echo "$name: the patch does not fit any more" >&2; return 1; }
    for object in "$work"/*.o; do
        file=listener/$(basename "$object" .o).c
        if grep -q "^+++ b/$file" "$here/planted/$name.patch"; then
            object=$work/$name/planted.o
            compile "$work/$name/$file" "$object" "-I$work/$name"
        fi
        objects+=("$object")
    done
    gcc "${sanitize[@]}" -Wl,--gc-sections "${objects[@]}" -o "$work/$name/simulation" # without what needs Kafka
    ASAN_OPTIONS=detect_leaks=0 timeout 300 "$work/$name/simulation" --seeds "$seeds" --first >"$work/$name/log" 2>&1 || status=$?
    if [ $status = 0 ]; then
        printf '%-36s NOT FOUND in %d seeds\n' "$name" "$seeds"
    else
        printf '%-36s %s\n' "$name" "$(sed -n 's/^seed \([0-9]*\) breaks the rule \([a-z]*\).*/seed \1: \2/p; s/.*ERROR: \(AddressSanitizer: [a-z-]*\).*/\1/p; s/.*\(runtime error: .*\)/\1/p' "$work/$name/log" | head -n 1)"
        touch "$work/$name.found"
    fi
    rm -rf "${work:?}/$name"
}

broken=false
for name in "${names[@]}"; do
    play "$name" &
    [ "$(jobs -rp | wc -l)" -lt 2 ] || wait -n || broken=true
done
while [ -n "$(jobs -rp)" ]; do wait -n || broken=true; done
! $broken || exit 1
found=$(find "$work" -maxdepth 1 -name '*.found' | wc -l)
$check && echo "# planted: $found passed, $((${#names[@]} - found)) failed, 0 skipped"
echo "$found of ${#names[@]} found"
[ $found = ${#names[@]} ]
