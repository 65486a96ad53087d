#!/usr/bin/env bash
# Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
# What `kurier dlq` may with which rights, and that a missing one is named (script/kafka run --secure).
. "$(dirname "$0")/secure.sh"

dead=$unique.email.dlq copy=$unique.copy.dlq
# may STATUS TEXT… -- ARGUMENT…: what comes of it for the user.
may() { dlq "$@" --properties "$work/user" --timeout 10; }
"$SOURCE/tests/dlq/letters.py" usual >"$work/usual"

check "the user may nothing" rights forbid
check "nothing was ever discarded" rights gone kurier.redrive
check "topics" bash -c '"$1" topic "$2" 2 && "$1" topic "$3" 2' - "$BUILD/tests/dlq/rights" "$dead" "$copy"
check "letters" dlq 0 "8 letters written" -- import "$dead" "$work/usual" --execute --properties "$work/admin"

# ---- Without rights ----

check "list sees nothing" may 0 "there are no topics of dead letters" -- list "$unique*"
check "groups names what is missing" may 1 "topic $dead: Broker: Topic authorization failed" "consuming READ" -- groups "$dead" --discarded
check "so does export" may 1 "topic $dead: Broker: Topic authorization failed" "consuming READ" -- export "$dead" --discarded
check "show, too" may 1 "topic $dead: Broker: Topic authorization failed" "consuming READ" -- show "$dead/0/0"
check "import" may 1 "$copy: not there, or hidden from this user, who then lacks WRITE" -- import "$copy" "$work/usual" --execute
check "which has written nothing" says "$work/both" "0 letters written"

# ---- With what the guide lists ----

check "READ on the dead letters" rights allow "$dead" READ
check "lets one read them, but for the audit" may 0 "smtp.timeout" -- groups "$dead" --discarded
check "which is named" may 1 "topic kurier.redrive: Broker: Topic authorization failed" "consuming READ" "--discarded reads without it" -- groups "$dead"
check "READ on the audit" rights allow kurier.redrive READ
check "lets one read" may 0 "smtp.timeout" -- groups "$dead"
check "and export" may 0 "8 letters" -- export "$dead"
check "and browse" may 0 k5 -- browse "$dead"
check "and show" may 0 "came from" -- show "$dead/0/0"
check "and list, without what is not known" may 0 '"letters":8,"discarded":0' '"retention_ms":null' -- list "$unique*" -o jsonl
check "list sees that topic alone" bash -c '[ "$(wc -l <"$1")" = 1 ]' - "$work/out"
check "DESCRIBE_CONFIGS" rights allow "$dead" DESCRIBE_CONFIGS
check "tells how long they are kept" may 0 '"retention_ms":604800000' -- list "$unique*" -o jsonl
check "READ is not WRITE" may 1 "$dead" "authorization failed" "producing takes WRITE" -- import "$dead" "$work/usual" --execute
check "WRITE on one topic" rights allow "$copy" WRITE
check "lets one import" may 0 "8 letters written to $copy" -- import "$copy" "$work/usual" --execute
check "but not read" may 1 "$copy" "Topic authorization failed" "consuming READ" -- groups "$copy"

# ---- Discards ----

check "a discard without CREATE" may 1 "topic kurier.redrive: not there, or hidden from this user, who lacks CREATE on it" -- discard "$dead" --cause poison --reason x --execute
check "discards nothing" may 0 '{"count":8,' -- groups "$dead" --by topic -o jsonl
check "CREATE" rights allow kurier.redrive CREATE
check "makes the audit, and is not WRITE" may 1 "kurier.redrive" "Topic authorization failed" "producing takes WRITE" -- discard "$dead" --cause poison --reason x --execute
check "WRITE" rights allow kurier.redrive WRITE
check "lets one discard" may 0 "2 letters discarded" -- discard "$dead" --cause poison --reason x --execute --expect 2
check "which is seen" may 0 '{"count":6,' -- groups "$dead" --by topic -o jsonl
check "no password and no key in anything" bash -c '! grep -rl "PRIVATE KEY" "$1"' - "$work"
check "the user may nothing again" rights forbid
