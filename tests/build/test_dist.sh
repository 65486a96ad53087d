#!/usr/bin/env bash
# Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
# The release's tarball (meson dist) holds what is committed, and builds by itself.
. "$(dirname "$0")/lib.sh"

git -C "$SOURCE" rev-parse --verify -q HEAD >"$work/log" 2>&1 || { skip "no release is made without git"; exit 0; }
git clone -q "$SOURCE" "$work/clone" || exit 1 # without what is not committed
quick=(-Dbuildtype=plain -Dtests=disabled -Dexamples=disabled -Dbench=disabled)
check "configures" meson setup "$work/clone/build" "$work/clone" "${quick[@]}"
check "meson dist" meson dist -C "$work/clone/build" --no-tests --formats gztar
version=$(meson introspect --projectinfo "$work/clone/build" | sed -n 's/.*"version": "\([^"]*\)".*/\1/p')
tarball=$work/clone/build/meson-dist/kurier-$version.tar.gz
check "the tarball names the version" tar -C "$work" -xzf "$tarball"
cd "$work/kurier-$version"
check "holds each file that is committed" diff <(git -C "$SOURCE" ls-tree -r --name-only HEAD | sort) \
    <(find . -type f -o -type l | sed 's,^\./,,' | sort)
check "configures from the tarball" meson setup build "${quick[@]}" -Ddefault_library=shared
check "builds" ninja -C build
check "its program runs" test "$(build/tools/kurier/kurier --version)" = "kurier $version"
