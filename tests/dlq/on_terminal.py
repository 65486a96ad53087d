#!/usr/bin/env python3
# Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
"""Runs a command with standard error, and with --all standard output too, on a terminal, and prints what comes there.

usage: on_terminal.py [--columns N] [--all] [--when TEXT ORDER]… -- COMMAND…

Each TEXT is waited for in its turn, for 60 s at most; when it has come on the terminal, the shell runs ORDER, in which
$CHILD is the command's process. Ends as the command does, with 128 and the signal's number when one has ended it.
"""
import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time

columns, is_all, steps, given = 80, False, [], sys.argv[1:]
while given[0] != "--":
    if given[0] == "--columns":
        columns, given = int(given[1]), given[2:]
    elif given[0] == "--all":
        is_all, given = True, given[1:]
    elif given[0] == "--when":
        steps, given = steps + [(given[1].encode(), given[2])], given[3:]
    else:
        sys.exit(f"what is {given[0]}?")

ours, theirs = pty.openpty()
fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
child = subprocess.Popen(given[1:], stdout=theirs if is_all else None, stderr=theirs,
                         env=dict(os.environ, TERM=os.environ.get("TERM") or "xterm"))
os.close(theirs)
seen, looked, until = b"", 0, time.monotonic() + 60
while True:
    if steps and steps[0][0] in seen[looked:]:
        looked = seen.index(steps[0][0], looked) + len(steps[0][0])
        subprocess.run(steps[0][1], shell=True, check=True, env=dict(os.environ, CHILD=str(child.pid)))
        steps, until = steps[1:], time.monotonic() + 60
    if time.monotonic() > until:
        child.kill()
        sys.exit(f"after 60 s: {seen!r}")
    if not select.select([ours], [], [], 0.2)[0]:
        continue
    try:
        seen += os.read(ours, 65536)
    except OSError:  # nobody has the other end any more
        break
sys.stdout.buffer.write(seen)
sys.stdout.flush()
status = child.wait()
if steps:
    sys.exit(f"\nnever said: {steps[0][0]!r}")
sys.exit(status if status >= 0 else 128 - status)
