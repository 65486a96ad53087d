#!/usr/bin/env bash
# Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
# An installed copy, used from outside through pkg-config: shared, static, and from C++.
. "$(dirname "$0")/lib.sh"

prefix=$work/prefix
meson setup "$work/build" "$SOURCE" --prefix "$prefix" --libdir lib -Dtests=disabled -Dexamples=disabled \
    -Dtools=disabled -Dbench=disabled -Dsqlite=enabled -Dpostgres=enabled -Dregistry=enabled -Dwerror=true >"$work/log" 2>&1 || { cat "$work/log" && exit 1; }
meson install -C "$work/build" >"$work/log" 2>&1 || { cat "$work/log" && exit 1; }
export PKG_CONFIG_PATH=$prefix/lib/pkgconfig LD_LIBRARY_PATH=$prefix/lib

check "the version" test "$(pkg-config --modversion kurier)" = "$(meson introspect --projectinfo "$work/build" |
    sed -n 's/.*"version": "\([^"]*\)".*/\1/p')"
for name in libkurier libkurier-patterns libkurier-sqlite libkurier-postgres libkurier-registry; do
    check "the soname of $name" sh -c "readelf -d '$prefix/lib/$name.so' | grep -q 'SONAME.*\[$name\.so\.0\]'"
done
check "every header is installed" diff <(cd "$SOURCE/include" && find kurier -name '*.h' | sort) \
    <(cd "$prefix/include" && find . -name '*.h' | sed 's,^\./,,' | sort)
check "the guide is installed" test -f "$prefix/share/doc/kurier/docs/guide/getting-started.md"
# The user's own code asks for no more than the headers of kurier; librdkafka's are for <kurier/librdkafka.h> alone.
cp "$SOURCE"/tests/build/macros/*.[ch]* "$work"
read -ra shared < <(pkg-config --cflags --libs kurier)
# Kurier alone is linked statically: a static librdkafka would ask for the static libraries of all its codecs.
read -ra static <<<"$(pkg-config --cflags kurier) $prefix/lib/libkurier-patterns.a $prefix/lib/libkurier.a $(pkg-config --libs rdkafka jansson) -pthread"
c=("$work/shop.c" "$work/use.c" "$work/main.c")
check "a program against the shared library" gcc -std=c11 -Wall -Wextra -Werror -o "$work/shared" "${c[@]}" "${shared[@]}"
check "runs" "$work/shared"
for name in libkurier libkurier-patterns; do
    check "loads $name by its soname" sh -c "ldd '$work/shared' | grep -q '$name\.so\.0 => $prefix/lib/'"
done
read -ra sqlite < <(pkg-config --cflags --libs kurier-sqlite)
check "a program with SQLite" gcc -std=c11 -Wall -Wextra -Werror -o "$work/on-sqlite" "$SOURCE/tests/build/cmake/on_sqlite.c" "${sqlite[@]}"
check "runs" "$work/on-sqlite" "$work/service.db"
read -ra postgres < <(pkg-config --cflags --libs kurier-postgres)
check "a program with PostgreSQL" gcc -std=c11 -Wall -Wextra -Werror -o "$work/on-postgres" "$SOURCE/tests/build/cmake/on_postgres.c" "${postgres[@]}"
check "runs" "$work/on-postgres"
read -ra registry < <(pkg-config --cflags --libs kurier-registry)
check "a program with a schema registry" gcc -std=c11 -Wall -Wextra -Werror -o "$work/on-registry" "$SOURCE/tests/build/cmake/on_registry.c" "${registry[@]}"
check "runs" "$work/on-registry"
check "others need no libcurl" sh -c "! ldd '$work/shared' | grep -q libcurl"
check "others need no libpq" sh -c "! ldd '$work/shared' | grep -q libpq"
check "others need no SQLite" sh -c "! ldd '$work/shared' | grep -q sqlite"
awk '/^```c$/ {on = 1; next} /^```$/ {if (on) exit} on' "$SOURCE/README.md" >"$work/receipts.c"
line=$(sed -nE 's/^    (cc -o receipts .*)/\1/p' "$SOURCE/README.md")
check "the README's service, built as it says" sh -c "cd '$work' && ${line:-false} && test -x receipts"
rm "$prefix"/lib/libkurier*.so*
check "a program against the static library" gcc -std=c11 -Wall -Wextra -Werror -o "$work/static" "${c[@]}" "${static[@]}"
check "runs" "$work/static"
check "needs no shared library of kurier" sh -c "! ldd '$work/static' | grep -q libkurier"
