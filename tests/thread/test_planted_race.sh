#!/usr/bin/env bash
# Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
# ThreadSanitizer, set up as for all other tests, finds a race that is there and no other.
. "$(dirname "$0")/../build/lib.sh"
program=$BUILD/tests/thread/planted-race

finds() {
    local status=0
    "$program" >"$work/planted" 2>&1 || status=$?
    cat "$work/planted"
    [ $status = 66 ] && grep -q 'WARNING: ThreadSanitizer: data race' "$work/planted" && grep -q 'count_one' "$work/planted"
}
check "a race between a callback and main is found" finds
check "the same under a lock is none" "$program" --locked
