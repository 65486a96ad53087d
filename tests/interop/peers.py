# Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
"""
What the interop suites share: counting, and peers that are fetched once and kept in the cache.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kurier"

passed, failed, skipped = 0, 0, 0


def say(text):
    print("interop: " + text, file=sys.stderr, flush=True)


def check(name, difference):
    global passed, failed
    if difference is None:
        passed += 1
    else:
        failed += 1
        print(f"FAILED: {name}\n    {difference}", flush=True)


def skip(reason):
    global skipped, failed
    if os.environ.get("CI") == "true":
        failed += 1
        print("FAILED: " + reason, flush=True)
    else:
        skipped += 1
        print("# skipped: " + reason, flush=True)


class Unavailable(Exception):
    pass


def install(directory, make):
    """Makes a directory in the cache once; whoever comes first puts it in place."""
    if directory.exists():
        return
    work = directory.with_name(f"{directory.name}.{os.getpid()}")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        make(work)
        try:
            work.rename(directory)
        except OSError:
            if not directory.exists():
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


def run_or_say(what, command, **options):
    try:
        result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    except OSError as error:
        raise Unavailable(f"{what}: {error.strerror}") from error
    if result.returncode != 0:
        print(result.stdout[-2000:], file=sys.stderr)
        raise Unavailable(what)


def java(folder, name, what):
    """The command of a class in `folder`, with the jars of its pom.xml; compiled by ecj, for a runtime without javac."""
    version = str(hash_of((folder / "pom.xml").read_bytes() + (folder / f"{name}.java").read_bytes()))
    directory = CACHE / f"interop-{name.lower()}-{version}"

    def make(work):
        say(f"fetching {what} (once)…")
        shutil.copy(folder / "pom.xml", work / "pom.xml")
        run_or_say("Java's jars could not be fetched",
                   ["mvn", "-q", "-B", "-f", work / "pom.xml", "dependency:copy-dependencies",
                    f"-DoutputDirectory={work / 'lib'}"])
        jars = ":".join(str(jar) for jar in sorted((work / "lib").glob("*.jar")))
        run_or_say("Java's peer could not be compiled",
                   ["java", "-cp", jars, "org.eclipse.jdt.internal.compiler.batch.Main", "-17", "-nowarn", "-cp", jars,
                    "-d", work / "classes", folder / f"{name}.java"])

    install(directory, make)
    return ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp",
            f"{directory}/classes:{directory}/lib/*", name]


def hash_of(data):
    value = 0
    for byte in data:
        value = (value * 31 + byte) % (1 << 61)
    return value


def finish(name):
    """The closing line; what the program ends with."""
    print(f"# {name}: {passed} passed, {failed} failed, {skipped} skipped")
    return 0 if failed == 0 and passed + skipped > 0 else 1
