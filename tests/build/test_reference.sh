#!/usr/bin/env bash
# Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
# Every public function, type and macro has a comment that says what one must know, and Doxygen understands it.
. "$(dirname "$0")/lib.sh"

. /etc/os-release
if [ "$ID-${VERSION_ID:-}" != debian-12 ]; then
    skip "the reference is made on Debian 12, whose Doxygen it is written for"
    exit 0
fi
command -v doxygen >/dev/null || { skip "there is no Doxygen"; exit 0; }
check "script/docs takes the headers" "$SOURCE/script/docs" "$work/docs"
check "it has written them" test -f "$work/docs/index.html"
