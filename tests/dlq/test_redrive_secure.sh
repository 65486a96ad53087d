#!/usr/bin/env bash
# Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
# What `kurier redrive` may with which rights: those that docs/guide/redrive.md lists are enough, and each one that is
# missing is named (script/kafka run --secure). The group has no members: what it has read is committed for it.
. "$(dirname "$0")/secure.sh"

topic=$unique.orders group=$unique-email
dead=$topic.$group.dlq retry=$topic.$group.retry-short medium=$topic.$group.retry-medium
# may STATUS TEXT… -- ARGUMENT…: what comes of it for the user.
may() { noun=redrive kurier "$@" --properties "$work/user" --timeout 10; }
may_see() { kurier "$@" --properties "$work/user" --timeout 10; }
from_here() { sed -e "s/\"orders\"/\"$topic\"/g" -e "s/\"email\"/\"$group\"/g"; }
"$SOURCE/tests/dlq/letters.py" usual | from_here >"$work/usual"

check "the user may nothing" rights forbid
check "nothing was ever planned" rights gone kurier.redrive
for name in "$dead" "$retry" "$medium"; do check "topic $name" rights topic "$name" 2; done
check "a compacted origin" rights compacted "$topic" 4
check "letters" dlq 0 "8 letters written" -- import "$dead" "$work/usual" --execute --properties "$work/admin"
for name in "$retry" "$medium" "$topic"; do check "the group reads $name" rights commit "$group" "$name" 0 0; done

# ---- A plan ----

check "CREATE of the books is missing" may 1 "topic kurier.redrive: not there, or hidden from this user, who lacks CREATE on it" -- plan "$dead"
check "CREATE" rights allow kurier.redrive CREATE
check "READ of the books is missing" may 1 "topic kurier.redrive: not there, or hidden from this user, who lacks CREATE on it, or READ" -- plan "$dead"
check "WRITE" rights allow kurier.redrive WRITE
# The books are empty: it is seen that there is nothing to read, or that it may not be read, whichever comes first.
check "is not READ" may 1 "Topic authorization failed" "consuming READ" -- plan "$dead"
check "READ" rights allow kurier.redrive READ
check "READ of the letters is missing" may 1 "topic $dead: Broker: Topic authorization failed" "consuming READ" -- plan "$dead"
check "READ" rights allow "$dead" READ
check "DESCRIBE of the target is missing" may 3 "group $group, $retry: there is no such topic, or it is hidden from this user, who then lacks DESCRIBE" -- plan "$dead"
check "DESCRIBE" rights allow "$retry" DESCRIBE
check "DESCRIBE of the group is missing" may 3 "group $group" "Group authorization failed" "looking at it DESCRIBE" -- plan "$dead"
check "DESCRIBE" rights allow-group "$group" DESCRIBE
check "lets one plan" may 0 '"letters":8' "$retry" -- plan "$dead" -o jsonl
plan=$(value id)
check "which is listed" may 0 "$plan" planned -- status

# ---- Its origin ----

check "an origin that is hidden" may 3 "$topic: there is no such topic, or it is hidden from this user, who then lacks DESCRIBE" -- plan "$dead" --target origin
check "DESCRIBE" rights allow "$topic" DESCRIBE
check "DESCRIBE_CONFIGS of the origin is missing" may 3 "whether it is compacted cannot be seen: this user lacks DESCRIBE_CONFIGS" -- plan "$dead" --target origin
check "DESCRIBE_CONFIGS" rights allow "$topic" DESCRIBE_CONFIGS
check "tells that it is compacted" may 3 "the topic is compacted" -- plan "$dead" --target origin

# ---- A run ----

check "a dry run needs no more" may 0 "8 letters would be sent" -- start "$plan"
check "WRITE to the target is missing" may 2 "0 of 8 letters are sent" "$retry" "Topic authorization failed" "producing takes WRITE" -- start "$plan" --execute
check "WRITE" rights allow "$retry" WRITE
check "lets one send some" may 0 "2 of 8" -- start "$plan" --max 2 --execute

# ---- Outcomes ----

check "without DESCRIBE_CONFIGS there are none" may 1 "settings of topic $dead: to see them takes DESCRIBE_CONFIGS" -- status "$plan"
check "for the letters" rights allow "$dead" DESCRIBE_CONFIGS
check "nor for a canary" may 2 "stopped: 3 of 8" "settings of topic $retry: to see them takes DESCRIBE_CONFIGS" -- start "$plan" --canary 3 --execute
check "DESCRIBE_CONFIGS" rights allow "$retry" DESCRIBE_CONFIGS
check "READ of the target is missing" may 1 "$retry [" "Fetch" "Topic authorization failed" "consuming READ" -- watch "$plan" --every 100ms
check "READ" rights allow "$retry" READ
check "they are followed" may 0 '"acknowledged":3' '"succeeded":0' '"pending":3' -- status "$plan" -o jsonl
check "the rest goes without a canary" may 0 "8 of 8" -- start "$plan" --execute
for partition in 0 1; do check "the group has handled partition $partition" rights commit "$group" "$retry" $partition 8; done
check "to their end" may 0 '"succeeded":8' '"pending":0' -- watch "$plan" -o jsonl --every 100ms

# ---- Somebody else's plan ----

noun=redrive
check "the administrator plans" kurier 0 -- plan "$dead" --force sent --properties "$work/admin" -o jsonl
plan=$(value id)
check "and sends" kurier 0 "8 of 8" -- start "$plan" --execute --properties "$work/admin"
check "a retry topic that is hidden is not taken for empty" may 1 "topic $medium: Broker: Topic authorization failed" -- status "$plan"
check "READ" rights allow "$medium" READ DESCRIBE_CONFIGS
for partition in 0 1; do check "the group has handled partition $partition" rights commit "$group" "$retry" $partition 16; done
check "lets one follow it" may 0 '"succeeded":8' '"pending":0' -- watch "$plan" -o jsonl --every 100ms
check "a pause takes WRITE and READ of the books alone" may 3 "is done" -- pause "$plan"
# ---- Lag, of a topic whose records may not be read ----

lagging=$unique.lagging
noun=
check "a topic with two records" rights topic "$lagging" 1
for n in 1 2; do check "record $n" kurier 0 -- events publish "$lagging" --data x --execute --properties "$work/admin"; done
check "of which none is read" rights commit "$unique-behind" "$lagging" 0 0
check "DESCRIBE" rights allow "$lagging" DESCRIBE
check "of the group, too" rights allow-group "$unique-behind" DESCRIBE
noun=lag
check "lag without READ" may_see 0 -- show "$unique-behind" -o json
check "knows how many, and not since when: which is not 0" holds 'it[0]["unread"]["records"] == 2 and it[0]["unread"]["seconds"] is None'
check "for people" may_see 0 "2 (?)" -- show "$unique-behind"
check "whether it is too far behind is not known" may_see 4 "how far group $unique-behind is behind is not known" -- show "$unique-behind" --fail-over 1s
check "by records it is" may_see 5 "further behind" -- show "$unique-behind" --fail-over 1

check "no password and no key in anything" bash -c '! grep -rl "PRIVATE KEY" "$1"' - "$work"
check "the user may nothing again" rights forbid
check "and lists nothing" may 0 -- status
