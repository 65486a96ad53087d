# Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
# Sourced by the tests of `kurier dlq`, in place of processes.sh, which it brings.
. "$SOURCE/tests/processes.sh"

kurier=$BUILD/tools/kurier/kurier
unique=t$$x$RANDOM
unset KAFKA_BOOTSTRAP_SERVERS

# ends STATUS COMMAND…: what it prints is in $work/out and $work/err.
ends() {
    local expected=$1 status=0
    shift
    "$@" >"$work/out" 2>"$work/err" </dev/null || status=$?
    [ $status = "$expected" ] || { echo "exit status $status, expected $expected: $*" && cat "$work/out" "$work/err" && return 1; }
}
# dlq STATUS TEXT… -- ARGUMENT…: it ends with the status and says the texts on either.
dlq() {
    local status=$1 texts=() text
    shift
    while [ "$1" != -- ]; do
        texts+=("$1")
        shift
    done
    shift
    ends "$status" "$kurier" dlq "$@" || return 1
    cat "$work/out" "$work/err" >"$work/both"
    for text in "${texts[@]}"; do says "$work/both" "$text" || return 1; done
}
prints() { [ "$(cat "$work/out")" = "$1" ] || { echo "printed, in place of \"$1\":" && cat "$work/out" && return 1; }; }
rows() { [ "$(tail -n +2 "$work/out" | wc -l)" = "$1" ] || { cat "$work/out" && return 1; }; }
# No byte that is an order to a terminal: ASCII control characters, and those of C1 and of direction in UTF-8.
is_tame() { ! LC_ALL=C grep -nP '[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\x8b-\x8f\xa8-\xae]' "$@"; }
