# Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
# Sourced by the tests of `kurier dlq`, in place of those of the command line, which it brings.
. "$SOURCE/tests/command/lib.sh"

dlq() { noun=dlq kurier "$@"; }
prints() { [ "$(cat "$work/out")" = "$1" ] || { echo "printed, in place of \"$1\":" && cat "$work/out" && return 1; }; }
rows() { [ "$(tail -n +2 "$work/out" | wc -l)" = "$1" ] || { cat "$work/out" && return 1; }; }
# No byte that is an order to a terminal: ASCII control characters, and those of C1 and of direction in UTF-8.
is_tame() { ! LC_ALL=C grep -nP '[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\x8b-\x8f\xa8-\xae]' "$@"; }
