# Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
# Sourced by the tests of the command line, in place of processes.sh, which it brings.
. "$SOURCE/tests/processes.sh"

kurier=$BUILD/tools/kurier/kurier
unique=t$$x$RANDOM
unset KAFKA_BOOTSTRAP_SERVERS

# ends_with STATUS COMMAND…: what it prints is in $work/out, $work/err and, together, $work/both.
ends_with() {
    local expected=$1 status=0
    shift
    "$@" >"$work/out" 2>"$work/err" </dev/null || status=$?
    cat "$work/out" "$work/err" >"$work/both"
    [ $status = "$expected" ] || { echo "exit status $status, expected $expected: $*" && cat "$work/both" && return 1; }
}
# kurier STATUS TEXT… -- ARGUMENT…: it ends with the status and says the texts on either. `noun` stands before the
# arguments, if it is set.
kurier() {
    local status=$1 texts=() text
    shift
    while [ "$1" != -- ]; do
        texts+=("$1")
        shift
    done
    shift
    ends_with "$status" "$kurier" ${noun:+"$noun"} "$@" || return 1
    for text in "${texts[@]}"; do says "$work/both" "$text" || return 1; done
}
# holds EXPRESSION: of the JSON that was printed last, as `it`, a list of objects.
holds() {
    python3 -c 'import json, sys
text = open(sys.argv[1]).read()
it = json.loads(text) if text.startswith("[") else [json.loads(line) for line in text.splitlines()]
assert eval(sys.argv[2]), json.dumps(it, indent=1)' "$work/out" "$1"
}
# value NAME: a member of the last object that was printed.
value() { python3 -c 'import json, sys; print(json.loads(open(sys.argv[1]).read().splitlines()[-1])[sys.argv[2]])' "$work/out" "$1"; }

is_real() { [ -n "${KURIER_BOOTSTRAP:-}" ]; }
# embedded TOPIC:PARTITIONS…: starts an embedded broker that has them; its process is $last.
embedded() {
    start broker "$kurier" broker "${@/#/--topic=}"
    await 60 has broker ':[0-9]+$'
    KAFKA_BOOTSTRAP_SERVERS=$(head -n 1 "$work/broker")
    export KAFKA_BOOTSTRAP_SERVERS
}
# real_or_embedded TOPIC:PARTITIONS…: the same, or the real broker that KURIER_BOOTSTRAP names, which makes the topics
# with as many partitions as it likes.
real_or_embedded() {
    local topic
    if is_real; then
        export KAFKA_BOOTSTRAP_SERVERS=$KURIER_BOOTSTRAP
        for topic in "${@%:*}"; do check "Kafka makes $topic" await 60 has_leader "$topic"; done
    else
        embedded "$@"
    fi
}

# answering FILE: starts a fake schema registry that answers what the file says; its URL is $KURIER_REGISTRY.
answering() {
    mkfifo "$work/questions"
    start fake sh -c 'exec "$1" "$2" <"$3"' - "$BUILD/tests/registry/answering" "$1" "$work/questions"
    exec 7>"$work/questions"
    await 10 has fake '^http://'
    KURIER_REGISTRY=$(head -n 1 "$work/fake")
    export KURIER_REGISTRY
}
# asked REQUEST: how often it was, or the "last" one as it came.
asked() {
    local lines
    lines=$(wc -l <"$work/fake")
    echo "$1" >&7
    answered() { [ "$(wc -l <"$work/fake")" -gt "$lines" ]; }
    await 10 answered
    tail -n +$((lines + 1)) "$work/fake"
}
