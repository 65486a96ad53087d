#!/usr/bin/env bash
# Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
# As a subproject of someone's meson project: dependency('kurier').
. "$(dirname "$0")/lib.sh"

mkdir -p "$work/project/subprojects"
ln -s "$SOURCE" "$work/project/subprojects/kurier"
cp "$SOURCE"/tests/build/macros/*.[ch] "$work/project"
cat >"$work/project/meson.build" <<'END'
project('theirs', 'c', default_options: ['c_std=c11', 'warning_level=3', 'werror=true'])
kurier = dependency('kurier', fallback: 'kurier', default_options: ['tests=disabled', 'examples=disabled', 'tools=disabled', 'bench=disabled'])
test('theirs', executable('theirs', 'shop.c', 'use.c', 'main.c', dependencies: kurier))
END
check "configures" meson setup "$work/build" "$work/project"
check "builds without a warning" ninja -C "$work/build"
check "runs" meson test -C "$work/build"
