#!/usr/bin/env bash
# Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
# The registry's client over TLS: whom it trusts, and whom it is. A file serves as the registry, by openssl.
. "$(dirname "$0")/../build/lib.sh"

command -v openssl >/dev/null || { skip "there is no openssl" && exit 0; }
authority() { # file
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj "/CN=$1" -keyout "$1.key" -out "$1.crt"
}
certificate() { # file, authority, name for it, days
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$3" -keyout "$1.key" -out "$1.csr"
    openssl x509 -req -in "$1.csr" -CA "$2.crt" -CAkey "$2.key" -CAcreateserial -days "$4" -out "$1.crt" \
        -extfile <(echo "subjectAltName=DNS:$3")
    cat "$1.crt" "$1.key" >"$1.pem"
}
cd "$work"
{ authority ours && authority foreign && certificate server ours localhost 30 && certificate expired ours localhost -1 &&
    certificate other ours elsewhere.example 30 && certificate client ours alice 30 &&
    certificate stranger foreign alice 30; } >certificates.log 2>&1 || { cat certificates.log && exit 1; }
mkdir -p schemas/ids
printf 'HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{"schema":"\\"int\\""}' >schemas/ids/7

serve() { # name, certificate, what else…: sets $port
    local name=$1 certificate=$2
    shift 2
    : >"$name.log"
    setpriv --pdeathsig TERM openssl s_server -accept 127.0.0.1:0 -cert "$certificate.crt" -key "$certificate.key" -HTTP "$@" >>"$name.log" 2>&1 </dev/null &
    port=
    for _ in $(seq 100); do
        port=$(sed -n 's/^ACCEPT .*:\([0-9]*\)$/\1/p' "$name.log")
        [ -z "$port" ] || return 0
        sleep 0.1
    done
    cat "$name.log" >&2
    return 1
}
asks() { # what it says, then what asking is told
    local wanted=$1
    shift
    "$BUILD/tests/registry/asking" "$@" >said 2>&1 || { cat said && return 1; }
    ! grep -q canary said || { echo "the password is shown" && return 1; }
    says said "$wanted"
}

serve plain server
check "one that is trusted" asks "KUR_OK int" "https://localhost:$port" ours.crt "" ""
check "not by the system's authorities" asks "KUR_ERROR_CONFIG https://localhost:$port/schemas/ids/7: " "https://localhost:$port" "" "" ""
check "nor by another's" asks KUR_ERROR_CONFIG "https://localhost:$port" foreign.crt "" ""
check "an authority's file that is none" asks KUR_ERROR_CONFIG "https://localhost:$port" server.key "" ""
check "no TLS where it is wanted" asks KUR_ERROR_UNREACHABLE "http://localhost:$port" ours.crt "" ""
good=$port
serve expired expired
check "a certificate that has expired" asks KUR_ERROR_CONFIG "https://localhost:$port" ours.crt "" ""
check "the next URL is asked then" asks "KUR_OK int" "https://localhost:$port,https://localhost:$good" ours.crt "" ""
serve other other
check "another's certificate" asks KUR_ERROR_CONFIG "https://localhost:$port" ours.crt "" ""
serve mutual server -CAfile ours.crt -Verify 1 -verify_return_error
check "a client that has none" asks "certificate required" "https://localhost:$port" ours.crt "" ""
check "one that is trusted" asks "KUR_OK int" "https://localhost:$port" ours.crt client.crt client.key
check "with both in one file" asks "KUR_OK int" "https://localhost:$port" ours.crt client.pem ""
check "one that is not" asks KUR_ERROR_ "https://localhost:$port" ours.crt stranger.crt stranger.key
check "a key of another's" asks KUR_ERROR_CONFIG "https://localhost:$port" ours.crt client.crt stranger.key
