#!/usr/bin/env bash
# Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
# `kurier dlq` that takes long, is stopped in the middle, or loses its broker, its reader or its terminal's width.
. "$(dirname "$0")/lib.sh"

on_terminal=$SOURCE/tests/dlq/on_terminal.py
dead=$unique.email.dlq copy=$unique.copy.dlq large=$unique.large.dlq
if is_real; then
    skip "the broker is stopped here, which is the embedded one's"
    exit 0
fi
embedded "$dead:6" "$copy:6" "$large:6" "$unique.narrow.dlq:6"
broker=$last
"$SOURCE/tests/dlq/letters.py" usual >"$work/usual"
check "letters" dlq 0 "8 letters written" -- import "$dead" "$work/usual" --execute
counts() { # topic, number
    dlq 0 -- groups "$1" --by topic -o jsonl || return 1
    [ "$2" = 0 ] && prints "" || says "$work/out" "{\"count\":$2,"
}
# Waits for a text in a file of $work, a minute at most.
said() { await 60 grep -qF -- "$2" "$work/$1" || { echo "\"$2\" is never said by:" && cat "$work/$1" && return 1; }; }
# Whether a process of this shell ends with the status, in a minute.
gone() { # pid, status
    local status=0
    await 60 not lives "$1" || { echo "still there" && return 1; }
    wait "$1" || status=$?
    [ $status = "$2" ] || { echo "exit status $status, expected $2" && return 1; }
}

# Waits until a background job has become the command: what the shell is sent before that may be lost. Such jobs do not
# hear Ctrl-C in a script; what a terminal's do is tried on one.
runs() { await 60 test "/proc/$1/exe" -ef "$kurier"; }

# ---- How far it is ----

# The broker is silent until two of three that began earlier have had the time to tell how far they are.
tells_how_far() {
    local status=0 plain dumb
    freeze "$broker"
    "$kurier" dlq groups "$dead" --by cause >"$work/plain.out" 2>"$work/plain" & plain=$!
    TERM=dumb "$on_terminal" -- "$kurier" dlq groups "$dead" --by cause >"$work/dumb" & dumb=$!
    "$on_terminal" --columns 15 --when "0 offsets read" : --when "0 offsets read" "kill -CONT $broker" -- \
        "$kurier" dlq groups "$dead" --by cause --max 7 >"$work/narrow" || status=$?
    kill -CONT "$broker"
    gone "$plain" 0 && gone "$dumb" 0 && [ $status = 0 ]
}
check "on a terminal it is told how far it is" tells_how_far
drawn() { sed -e 's/\r/\n/g' "$work/narrow" | sed -n 's/^\x1b\[K//p'; }
check "no wider than that" bash -c '[ -n "$1" ] && ! grep -nE "^.{15}" <<<"$1"' - "$(drawn)"
check "and it is taken away" bash -c '[ "$(tail -c 4 "$1")" = "$(printf "\r\x1b[K")" ]' - "$work/narrow"
check "nowhere else" test ! -s "$work/plain"
check "the result is the same" says "$work/plain.out" smtp.timeout
check "a terminal without orders gets none" bash -c '! grep -q "offsets read" "$1"' - "$work/dumb"

# ---- Stopped while it reads ----

stops_reading() { # signal, verb and arguments…
    local signal=$1 status=0
    shift
    freeze "$broker"
    "$on_terminal" --when "0 offsets read" "kill -$signal \$CHILD" -- "$kurier" dlq "$@" >"$work/stopped" || status=$?
    kill -CONT "$broker"
    cat "$work/stopped"
    [ $status = 2 ] && says "$work/stopped" "stopped after 0 of 0 offsets"
}
check "groups" stops_reading INT groups "$dead"
check "browse" stops_reading TERM browse "$dead"
check "export" stops_reading INT export "$dead" --file "$work/nothing"
check "export tells how many" says "$work/stopped" "export: 0 letters"
stops_showing() {
    local status=0
    freeze "$broker"
    "$on_terminal" --when "0 offsets read" 'kill -INT $CHILD' -- "$kurier" dlq show "$dead/0/0" >"$work/stopped" || status=$?
    kill -CONT "$broker"
    [ $status = 130 ]
}
check "show has nothing to tell" stops_showing

# In the middle: whoever reads the lines has had some of them, and reads on when the signal has been sent.
for _ in $(seq 2500); do cat "$work/usual"; done >"$work/many"
check "many letters" dlq 0 "20000 letters written" -- import "$large" "$work/many" --execute
reads_in_two() { python3 -c 'import os, sys
had = os.read(0, 1000)
open(sys.argv[1], "w").close()
open(sys.argv[2]).read()
sys.stdout.buffer.write(had + sys.stdin.buffer.read())' "$work/begun" "$work/go"; }
stops_exporting() {
    local exporting reading
    mkfifo "$work/lines" "$work/go"
    "$kurier" dlq export "$large" >"$work/lines" 2>"$work/told" & exporting=$!
    reads_in_two <"$work/lines" >"$work/exported" & reading=$!
    await 60 test -e "$work/begun" && kill -TERM "$exporting" && : >"$work/go" && gone "$reading" 0 && gone "$exporting" 2 &&
        says "$work/told" "stopped after "
}
check "export in the middle" stops_exporting
exact() {
    local lines
    lines=$(wc -l <"$work/exported")
    [ "$lines" -lt 20000 ] && says "$work/told" "kurier dlq export: $lines letters" && python3 -c 'import json, sys
for line in open(sys.argv[1]): json.loads(line)' "$work/exported"
}
check "tells exactly how many lines there are, all whole" exact

# ---- Stopped while it writes ----

# A pipe that stays open: what is behind these lines never comes.
stops_importing() { # topic, lines: $work/told
    local importing status=0
    rm -f "$work/pipe" "$work/told"
    mkfifo "$work/pipe"
    "$kurier" dlq import "$1" --execute <"$work/pipe" 2>"$work/told" & importing=$!
    exec 9>"$work/pipe"
    cat "$2" >&9
    [ ! -s "$2" ] || await 60 counts "$1" "$(wc -l <"$2")"
    runs "$importing"
    kill -TERM "$importing"
    wait "$importing" || status=$?
    exec 9>&-
    cat "$work/told"
    return $status
}
becomes() { # status, command…
    local expected=$1 status=0
    shift
    "$@" || status=$?
    [ $status = "$expected" ]
}
head -n 4 "$work/usual" >"$work/four"
check "import in the middle" becomes 2 stops_importing "$copy" "$work/four"
check "tells what was sent" says "$work/told" "stopped; 4 letters of standard input were sent"
check "and what was written" says "$work/told" "4 letters written to $copy"
check "which is there" counts "$copy" 4
check "import before the first line" becomes 143 stops_importing "$copy" /dev/null
check "has nothing to tell" test ! -s "$work/told"

# The broker goes away behind the fourth letter: the first signal waits for answers, the second does not.
stops_twice() {
    local importing
    rm -f "$work/pipe"
    mkfifo "$work/pipe"
    "$kurier" dlq import "$unique.narrow.dlq" --execute <"$work/pipe" 2>"$work/told" & importing=$!
    exec 9>"$work/pipe"
    cat "$work/four" >&9
    await 60 counts "$unique.narrow.dlq" 4
    freeze "$broker"
    cat "$work/four" >&9
    await 60 python3 -c 'import array, fcntl, os, sys, termios
left = array.array("i", [1])
fcntl.ioctl(9, termios.FIONREAD, left)
sys.exit(left[0] != 0)'
    kill -TERM "$importing"
    said told "stopped; "
    kill -TERM "$importing"
    gone "$importing" 4 || return 1
    kill -CONT "$broker"
    exec 9>&-
}
check "import whose broker is gone" stops_twice
sums() {
    local sent unknown
    sent=$(sed -nE 's/.*stopped; ([0-9]+) letters.*/\1/p' "$work/told")
    unknown=$(sed -nE 's/.* 4 letters written to .*, 0 failed, of ([0-9]+) it is not known$/\1/p' "$work/told")
    [ "$((4 + unknown))" = "$sent" ] || { cat "$work/told" && return 1; }
}
check "tells of how many it does not know" sums
stops_discarding() {
    local status=0
    freeze "$broker"
    "$on_terminal" --when "0 offsets read" 'kill -INT $CHILD' -- "$kurier" dlq discard "$dead" --all --reason x --execute \
        >"$work/stopped" || status=$?
    kill -CONT "$broker"
    cat "$work/stopped"
    [ $status = 1 ] && says "$work/stopped" "stopped after 0 of 0 offsets" && says "$work/stopped" "0 letters discarded"
}
check "discard before the first letter" stops_discarding
check "discards nothing" counts "$dead" 8

# ---- Nobody to write to ----

full() { ends_with "$1" bash -c '"$1" dlq export "$2" >/dev/full' - "$kurier" "$2" && says "$work/err" "No space left on device"; }
check "a disk that is full" full 1 "$dead"
check "a reader that has enough" bash -c 'set -o pipefail; "$1" dlq export "$2" | head -n 1 >"$3"; [ ${PIPESTATUS[0]} = 141 ] && [ "$(wc -l <"$3")" = 1 ]' - \
    "$kurier" "$large" "$work/one"

# ---- A terminal that is too narrow ----

for columns in 1 2 20; do
    for verb in "browse $dead" "groups $dead" "list $unique*"; do
        # shellcheck disable=SC2086
        check "$verb in $columns columns" bash -c '"$@" >"$0"' "$work/narrow" "$on_terminal" --columns $columns --all -- "$kurier" dlq $verb
        check "is no wider" bash -c 'sed -e "s/\r$//" -e "s/\x1b\[[0-9]*m//g" "$1" | LC_ALL=C.UTF-8 grep -E "^.{$2}"; [ $? = 1 ]' - "$work/narrow" $((columns + 1))
    done
done
