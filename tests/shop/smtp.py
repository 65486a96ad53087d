# Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
"""A mail server that answers 451 to the first letter for later@…, 550 to never@…, and takes the rest.

Prints its port, then one line for each letter: taken, 451 or 550, and the address.
"""
import socket
import sys
import threading

seen = set()


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
            for body in lines:
                if body == b".\r\n":
                    break
            print("taken", to, flush=True)
            say("250 ok")
        elif word == "QUIT":
            say("221 bye")
            break
        else:
            say("250 ok")
    connection.close()


server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
while True:
    threading.Thread(target=talk, args=(server.accept()[0],), daemon=True).start()
