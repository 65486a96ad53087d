# Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
"""A mail server that answers 451 to the first letter for later@…, 550 to never@…, and takes the rest.

smtp.py [PORT [DIRECTORY]]: listens on 127.0.0.1, on any free port unless one is given; prints it, then one line for each
letter: taken, 451 or 550, and the address. In DIRECTORY each letter becomes a file of its order's name, so that one that
comes twice is the same file again.
"""
import os
import re
import socket
import sys
import threading

seen = set()
directory = sys.argv[2] if len(sys.argv) > 2 else None


def keep(letter):
    order = re.search(rb"^Subject: Your order ([0-9A-Za-z-]+)\r$", letter, re.M)
    if directory is not None and order is not None:
        path = os.path.join(directory, order.group(1).decode() + ".eml")
        with open(path + ".part", "wb") as file:
            file.write(letter)
        os.replace(path + ".part", path)


def talk(connection):
    lines = connection.makefile("rb")

    def say(text):
        connection.sendall(text.encode() + b"\r\n")

    say("220 test")
    to = ""
    for raw in lines:
        line = raw.decode("latin-1").strip()
        word = line.upper()
        if word.startswith("RCPT"):
            to = line[line.index("<") + 1 : line.index(">")]
            if to.startswith("never@"):
                print("550", to, flush=True)
                say("550 no such user")
                continue
            if to.startswith("later@") and to not in seen:
                seen.add(to)
                print("451", to, flush=True)
                say("451 not now")
                continue
            say("250 ok")
        elif word == "DATA":
            say("354 go on")
            letter = b""
            for body in lines:
                if body == b".\r\n":
                    break
                letter += body
            keep(letter)
            print("taken", to, flush=True)
            say("250 ok")
        elif word == "QUIT":
            say("221 bye")
            break
        else:
            say("250 ok")
    connection.close()


server = socket.create_server(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 0))
print(server.getsockname()[1], flush=True)
while True:
    threading.Thread(target=talk, args=(server.accept()[0],), daemon=True).start()
