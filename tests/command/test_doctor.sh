#!/usr/bin/env bash
# Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
# `kurier doctor` on the embedded broker and, where there is one, on a broker with log-ins (script/kafka run --secure):
# what it finds, how it ends, and that no password is in anything it prints.
. "$(dirname "$0")/lib.sh"

printed=$work/printed
wrong=canary-wrong-7d1c

# As `kurier`; what it prints is kept in $printed.
finds() {
    local status=0
    noun=doctor kurier "$@" || status=1
    cat "$work/both" >>"$printed"
    return $status
}

check "the help suffices" finds 0 "--allow-clear-text" "6 the log-in is refused" -- --help
check "an unknown option" finds 3 'what is "--tpoic"?' -- --tpoic x
check "a value that is missing" finds 3 "--topic needs a value" -- --topic
check "no servers" finds 4 "no bootstrap servers" -- --set linger.ms=5
check "a slip of the finger" finds 4 "did you mean sasl.password?" -- --bootstrap a:1 --set "sasl.pasword=$wrong"
check "no such file" finds 4 "No such file" -- --properties /nowhere/kafka.conf
check "a password in clear" finds 4 "shows the password" -- --bootstrap a:1 --set security.protocol=sasl_plaintext \
    --set sasl.mechanism=PLAIN --set sasl.username=u --set "sasl.password=$wrong"
check "a name that is none" finds 5 "cannot be resolved" -- --bootstrap nowhere.invalid:9092
check "nobody listens" finds 5 "Connection refused" "none of the bootstrap servers" -- --bootstrap 127.0.0.1:1

embedded orders:3
address=$KAFKA_BOOTSTRAP_SERVERS
unset KAFKA_BOOTSTRAP_SERVERS
check "all is well" finds 0 "ok    log-in         by plaintext" "orders: 3 partitions, readable" "All is well." \
    "metadata.broker.list = $address  (.bootstrap_servers)" -- --bootstrap "$address" --topic orders --group g
check "all settings" finds 0 "enable.idempotence" "(librdkafka)" -- --bootstrap "$address" --all
kill "$last"

if [ -n "${KURIER_SECURE:-}" ]; then
    file=$work/kafka.conf
    printf '%s\n' security.protocol=SASL_SSL sasl.mechanism=PLAIN "sasl.username=$KURIER_SECURE_USER" \
        "sasl.password=$KURIER_SECURE_PASSWORD" "ssl.ca.location=$KURIER_SECURE_CA" >"$file"
    with=(--properties "$file" --bootstrap "$KURIER_SECURE_PLAIN")
    check "logs in" finds 0 "ok    log-in" "sasl.password = [hidden]  ($file:4)" -- "${with[@]}"
    check "a wrong password" finds 6 "sasl.username or sasl.password is wrong" -- "${with[@]}" \
        --set "sasl.password=$wrong" --verbose --set debug=all --all
    check "a foreign authority" finds 6 "signed by no authority" -- "${with[@]}" \
        --set "ssl.ca.location=$KURIER_SECURE_FOREIGN_CA"
    check "a broker that has expired" finds 6 "the broker's certificate has expired on" -- --bootstrap \
        "$KURIER_SECURE_EXPIRED" --set security.protocol=ssl --set "ssl.ca.location=$KURIER_SECURE_CA"
    check "a topic that is not this user's" finds 7 "it may not be read" -- "${with[@]}" --topic "not-theirs-$$"
    check "a group that is not this user's" finds 7 "this user may not use it" -- "${with[@]}" --group "not-theirs-$$" \
        --timeout 10
    check "TLS where none was expected" finds 5 "security.protocol" -- --bootstrap "$KURIER_SECURE_PLAIN" --timeout 10
    check "no password is shown" bash -c '! grep -nF -e "$1" -e "$2" "$3"' - "$KURIER_SECURE_PASSWORD" \
        "$KURIER_SECURE_ADMIN_PASSWORD" "$printed"
else
    skip "no broker with log-ins: script/kafka run --secure"
fi
check "no password on the command line is shown" bash -c '! grep -nF "$1" "$2"' - "$wrong" "$printed"
