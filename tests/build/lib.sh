# Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
# Sourced by the tests of the build: counts checks and prints the closing line that script/test adds up.
# meson gives SOURCE (the checkout) and BUILD (its build directory).
set -euo pipefail
: "${SOURCE:?}" "${BUILD:?}"
export LC_ALL=C
work=$(mktemp -d "${TMPDIR:-/tmp}/kurier-test.XXXXXX")
# Python as it is: what stands for it on some machines is a script that looks for it anew, a dozen processes each time.
mkdir "$work/bin"
ln -s "$(python3 -c 'import sys; print(sys.executable)')" "$work/bin/python3"
PATH=$work/bin:$PATH
# What programs link, as they stand in the build directory.
libraries=("-L$BUILD/patterns" "-L$BUILD/src" -lkurier-patterns -lkurier "-Wl,-rpath,$BUILD/patterns:$BUILD/src")
passed=0 failed=0 skipped=0
# Fails before the first check, or in the middle of a test, count as well.
trap 'status=$?; rm -rf "$work"; if [ $status != 0 ] && [ $failed = 0 ]; then failed=1; fi
    echo "# $(basename "$0" .sh): $passed passed, $failed failed, $skipped skipped"
    [ $failed = 0 ] && [ $((passed + skipped)) -gt 0 ] || exit 1' EXIT
trap 'exit 130' INT TERM

# check NAME COMMAND…: passes when the command does; its output is shown when not.
check() {
    local name=$1
    shift
    if "$@" >"$work/output" 2>&1; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED: $name" >&2
        sed 's/^/    /' "$work/output" >&2
    fi
}

# skip REASON: what cannot be checked here; with CI=true it is a failure unless tests/skips.txt lists the reason.
skip() {
    skipped=$((skipped + 1))
    echo "# skipped: $1"
}

# says FILE TEXT: whether the file holds the text.
says() {
    grep -qF -- "$2" "$1" || { echo "\"$2\" is not said by:" && cat "$1" && return 1; }
}
