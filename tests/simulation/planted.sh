#!/usr/bin/env bash
# Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
# A test of the simulation: each planted bug must be found by it.
set -euo pipefail

usage() {
    cat <<END
usage: tests/simulation/planted.sh [--seeds N] [--check | --note] [NAME…]

Builds the listener's decisions with one bug at a time, each a patch under tests/simulation/planted, and plays seeds until
one fails, at most N (default 500). The last line is "K of N found".

  --check   plays the seed that found the bug before first, and the others when it finds nothing
  --note    writes which seed found the bug above each patch, for --check
END
}

seeds=500
check=false note=false
names=()
while [ $# -gt 0 ]; do
    case $1 in
    --seeds) seeds=${2:?} && shift ;;
    --check) check=true ;; # and says at the end what script/test adds up
    --note) note=true ;;
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

# Plays a seed, or all: 0 when none has failed.
seeds_of() { # name, arguments…
    ASAN_OPTIONS=detect_leaks=0 timeout 300 "$work/$1/simulation" "${@:2}" --first >"$work/$1/log" 2>&1
}
found_by() { sed -nE 's/^seed ([0-9]+) .*/\1/p' "$1" | head -n 1; } # file

# Builds with the bug and plays. Two at a time; lines come as they are done.
play() { # name
    local name=$1 object objects=() file status=0 before seed
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
    before=$(found_by "$here/planted/$name.patch")
    ! $check || [ -z "$before" ] || seeds_of "$name" --from "$before" --seeds 1 || status=$?
    [ $status != 0 ] || seeds_of "$name" --seeds "$seeds" || status=$?
    seed=$(found_by "$work/$name/log")
    if $note && [ -n "$seed" ]; then
        sed -i -e '/^seed [0-9]* finds it$/d' -e "1i seed $seed finds it" "$here/planted/$name.patch"
    fi
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
