#!/usr/bin/env bash
# Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
# What is made of the tables of the command line: the help on every level, docs/commands.md, the man page, completion.
. "$(dirname "$0")/lib.sh"

# ---- Help ----

check "--help" kurier 0 "usage: kurier NOUN" broker dlq doctor "3 refused" -- --help
check "help" kurier 0 "usage: kurier NOUN" -- help
check "nothing asked" kurier 3 "usage: kurier NOUN" --
check "no such noun" kurier 3 'no noun "letters"' "See kurier --help" -- letters
check "--version" kurier 0 "kurier 0." -- --version
"$kurier" reference markdown >"$work/commands.md"
verbs=$(sed -nE 's/^#+ `kurier (.*)`$/\1/p' "$work/commands.md")
check "there are verbs" test "$(wc -l <<<"$verbs")" -gt 8
while read -r verb; do
    # shellcheck disable=SC2086
    check "$verb --help" kurier 0 "usage: kurier $verb" -- $verb --help
    case $verb in
    *\ *) # shellcheck disable=SC2086
        check "$verb refuses what it does not know" kurier 3 'what is "--no-such-option"?' "See kurier $verb --help" -- $verb --no-such-option ;;
    esac
done <<<"$verbs"
check "an option without its value" kurier 3 "--limit needs a number" -- dlq browse --limit
check "an option with an empty value" kurier 3 "--cause needs a value" -- dlq groups --cause=
check "a number that is too large" kurier 3 "--timeout needs a number from 1 to 3600" -- dlq list --timeout 4000
check "a flag with a value" kurier 3 "--unmask takes no value" -- dlq browse --unmask=yes
check "an argument where none is taken" kurier 3 'what is "x"?' -- doctor x
check "behind -- there are no options" kurier 1 'no bootstrap servers' -- dlq list -- --help-me
wide() { LC_ALL=C.UTF-8 grep -nE "^.{101}" "$@"; }
check "no line of a help is wider than 100" bash -c "$(declare -f wide)"'
    while read -r verb; do "$1" $verb --help; done <<<"$2" >"$3"; ! wide "$3"' - "$kurier" "$verbs" "$work/help"
check "on a narrow terminal no wider than that" bash -c 'script -qec "stty cols 60; $1 dlq groups --help" /dev/null </dev/null | tr -d "\r" >"$2"
    grep -q "usage: kurier dlq groups" "$2" && ! LC_ALL=C.UTF-8 grep -nE "^.{61}" "$2"' - "$kurier" "$work/narrow"

# ---- Pages ----

check "docs/commands.md is what the tables say: kurier reference markdown writes it" diff "$SOURCE/docs/commands.md" "$work/commands.md"
check "the man page" bash -c '"$1" reference man "$2" >"$3"' - "$kurier" "$SOURCE/tools/kurier/kurier.1.in" "$work/kurier.1"
check "it has the verbs" bash -c 'while read -r verb; do case $verb in *\ *) grep -q "^.SS kurier $verb" "$2" || exit 1 ;; esac; done <<<"$1"' - "$verbs" "$work/kurier.1"
if command -v groff >/dev/null; then
    check "it is well formed" bash -c 'groff -man -Tutf8 -P-cbou -ww -Kutf8 "$1" 2>&1 >"$2" | tee /dev/stderr | wc -c | grep -qx 0' - "$work/kurier.1" "$work/page"
    check "and readable" says "$work/page" "kurier dlq discard"
else
    skip "no groff"
fi

# ---- Completion ----

"$kurier" completion bash >"$work/completion"
# completes TEXT WORD…: to what the last word is completed, in one line.
completes() {
    local expected=$1
    shift
    bash --norc -c '. "$1"; shift; COMP_WORDS=(kurier "$@"); COMP_CWORD=$#; COMPREPLY=(); _kurier; printf "%s\n" "${COMPREPLY[*]}"' \
        - "$work/completion" "$@" >"$work/completed" 2>&1
    [ "$(cat "$work/completed")" = "$expected" ] || { echo "in place of \"$expected\":" && cat "$work/completed" && return 1; }
}
check "a noun" completes "doctor" doc
check "a verb" completes "discard" dlq dis
check "an option of a verb" completes "--reason" dlq discard topic --re
check "an option of a noun without verbs" completes "--brokers" broker --br
check "a value of an option" completes "table json jsonl" dlq list -o ""
check "one that has begun" completes "json jsonl" dlq list -o j
check "nothing where anything may stand" completes "" dlq list --timeout ""
check "nothing hidden" completes "" ref
touch "$work/letters.jsonl"
check "a file" completes "$work/letters.jsonl" dlq import topic "$work/let"
check "a file of an option" completes "$work/letters.jsonl" doctor --properties "$work/let"
