#!/usr/bin/env bash
# Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
# An installed copy, used from outside by find_package(kurier): shared and static. The copy stands elsewhere than its
# prefix says, as one in a container's staging directory or a sysroot does.
. "$(dirname "$0")/lib.sh"

unset LD_LIBRARY_PATH # meson names the build directory in it
command -v cmake >/dev/null || { skip "there is no CMake"; exit 0; }
DESTDIR=$work/copy meson install -C "$BUILD" --no-rebuild >"$work/log" 2>&1 || { cat "$work/log" && exit 1; }
config=$(find "$work/copy" -name kurier-config.cmake)
check "the config is installed" test -f "$config"
lib=$(dirname "$(dirname "$(dirname "$config")")")
prefix=$(dirname "$(find "$work/copy" -path '*/include/kurier' -printf '%h')")
version=$(PKG_CONFIG_PATH=$lib/pkgconfig pkg-config --modversion kurier)
mkdir "$work/theirs"
cp "$SOURCE"/tests/build/cmake/* "$SOURCE"/tests/build/macros/*.[ch] "$work/theirs"

# with_cmake DIRECTORY WANTED: their project is configured and built; what CMake says goes to $work/said.
with_cmake() {
    cmake -S "$work/theirs" -B "$work/$1" "-DWANTED=$2" "-DCMAKE_PREFIX_PATH=$prefix" >"$work/said" 2>&1 &&
        cmake --build "$work/$1" >>"$work/said" 2>&1 || { cat "$work/said" && return 1; }
}
fails() { ! "$@"; }

check "a project that wants $version builds" with_cmake exact "$version;EXACT"
check "the version is told" says "$work/said" "found kurier $version"
check "its program on the shared library runs" "$work/exact/by-default"
for name in libkurier libkurier-patterns; do
    check "loads $name by its soname" sh -c "ldd '$work/exact/by-default' | grep -q '$name\.so\.0 => $lib/'"
done
check "its program on the static library runs" "$work/exact/static"
check "needs no shared library of kurier" fails sh -c "ldd '$work/exact/static' | grep libkurier"
if [ -e "$lib/libkurier-sqlite.so" ]; then
    check "its program with SQLite runs" "$work/exact/on-sqlite" "$work/shared.db"
    check "likewise on the static library" "$work/exact/on-sqlite-static" "$work/static.db"
    check "needs no shared library of kurier" fails sh -c "ldd '$work/exact/on-sqlite-static' | grep libkurier"
    check "other programs need no SQLite" fails sh -c "ldd '$work/exact/by-default' | grep sqlite"
fi
if [ -e "$lib/libkurier-postgres.so" ]; then
    check "its program with PostgreSQL runs" "$work/exact/on-postgres"
    check "likewise on the static library" "$work/exact/on-postgres-static"
    check "needs no shared library of kurier" fails sh -c "ldd '$work/exact/on-postgres-static' | grep libkurier"
    check "other programs need no libpq" fails sh -c "ldd '$work/exact/by-default' | grep libpq"
fi
if [ -e "$lib/libkurier-registry.so" ]; then
    check "its program with a schema registry runs" "$work/exact/on-registry"
    check "likewise on the static library" "$work/exact/on-registry-static"
    check "needs no shared library of kurier" fails sh -c "ldd '$work/exact/on-registry-static' | grep libkurier"
    check "other programs need no libcurl" fails sh -c "ldd '$work/exact/by-default' | grep libcurl"
fi
for wanted in 99.0 "0.0.1;EXACT"; do
    check "a project that wants $wanted is refused" fails with_cmake refused "$wanted"
    check "$wanted: it is told what there is" says "$work/said" "kurier-config.cmake, version: $version"
done
rm "$lib"/libkurier*.so*
check "where only the static library is, it is the default" with_cmake only-static "${version%.*}"
check "runs" "$work/only-static/by-default"
rm "$lib"/libkurier*.a
check "where no library is, nothing is found" fails with_cmake none "$version"
check "and it is told why" says "$work/said" "neither the shared nor the static libraries"
