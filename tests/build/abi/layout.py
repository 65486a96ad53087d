#!/usr/bin/env python3
# Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
"""Writes two C sources that tell what a set of public headers promises to compiled programs.

usage: layout.py INCLUDE DIRECTORY

DIRECTORY/layout.c prints a line for each struct ("struct kur_x 24"), member ("member kur_x.name 8 8 int64_t name": offset, size,
declaration), enumerator and constant ("value KUR_X 3"). DIRECTORY/prototypes.h repeats the functions and callback types, so that another
set of headers before it conflicts where a type differs. Headers below sys/ promise nothing and are left out.
"""
import pathlib
import re
import subprocess
import sys

include, directory = sys.argv[1], pathlib.Path(sys.argv[2])


# The headers of drivers and of the registry are not in kurier.h; earlier releases may not have them.
includes = "".join(f"#include <kurier/{name}.h>\n" for name in ("kurier", "postgres", "sqlite", "registry")
                   if pathlib.Path(include, "kurier", f"{name}.h").exists())


def preprocessed(*flags):
    return subprocess.run(["gcc", "-E", "-P", *flags, f"-I{include}", "-xc", "-"], input=includes,
                          capture_output=True, text=True, check=True).stdout


def name_of(declaration):
    pointer = re.search(r"\(\s*\*\s*(\w+)\s*\)", declaration)
    return pointer[1] if pointer else re.search(r"(\w+)\s*(\[[^]]*\]\s*)*$", declaration)[1]


text = " ".join(preprocessed().split())
lines = []
for struct, body in re.findall(r"\bstruct (kur_\w+) \{([^{}]*)\}", text):
    lines.append(f'P("struct {struct} %zu\\n", sizeof(struct {struct}));')
    for declaration in filter(None, (part.strip() for part in body.split(";"))):
        for declarator in [declaration] if "(" in declaration else declaration.split(","):
            member = name_of(declarator)
            lines.append(f'P("member {struct}.{member} %zu %zu {declaration}\\n", offsetof(struct {struct}, {member}), '
                         f"sizeof((struct {struct} *)0)->{member});")
names = []
for body in re.findall(r"\benum(?: kur_\w+)? \{([^{}]*)\}", text):
    names += re.findall(r"(?:^|,)\s*(KUR_\w+)", body)
# Sizes of what the caller hands over, and limits: constants that are compiled in.
names += re.findall(r"^#define (KUR_(?:[A-Z]\w*_(?:SIZE|MAX)|NONE)) ", preprocessed("-dM"), re.M)
lines += [f'P("value {name} %lld\\n", (long long){name});' for name in names]
(directory / "layout.c").write_text(
    includes + "#include <stdio.h>\n#define P printf\nint main(void)\n{\n" + "\n".join(lines) + "\nreturn 0;\n}\n")

visible = '__attribute__((visibility("default")))'
statements = [part.strip() for part in re.sub(r"\{[^{}]*\}", ";", text).split(";")]
prototypes = [part.split(visible, 1)[1] for part in statements if visible in part]
prototypes += [part for part in statements if re.match(r"typedef [^(]*\bkur_\w+\(", part)]
(directory / "prototypes.h").write_text("".join(f"{part.strip()};\n" for part in prototypes))
