# Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
# Sourced by the tests of rights (script/kafka run --secure), in place of lib.sh, which it brings: properties of a user
# who may nothing at first, and of the administrator. Ends the test where no such broker is.
. "$SOURCE/tests/dlq/lib.sh"

if [ -z "${KURIER_SECURE:-}" ]; then
    skip "no broker with log-ins: script/kafka run --secure"
    exit 0
fi
rights() { "$BUILD/tests/dlq/rights" "$@"; }
log_in() { # certificate, key: a file of properties
    printf '%s\n' "bootstrap.servers=$KURIER_SECURE_MTLS" security.protocol=SSL "ssl.ca.location=$KURIER_SECURE_CA" \
        "ssl.certificate.location=$1" "ssl.key.location=$2"
}
log_in "$KURIER_SECURE_CERTIFICATE" "$KURIER_SECURE_KEY" >"$work/user"
log_in "$KURIER_SECURE_ADMIN_CERTIFICATE" "$KURIER_SECURE_ADMIN_KEY" >"$work/admin"
