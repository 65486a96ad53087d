# Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
"""
A registry with GUIDs, for Confluent's newer wire format: it passes on what it is asked to one that knows none, puts a GUID
beside each id that comes back, and finds schemas by them.
"""

import http.server
import json
import threading
import urllib.error
import urllib.request
import uuid

OWN = uuid.UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Guids:
    def __init__(self, url):
        outer, self.behind, self.ids, self.asked = self, url, {}, []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                self.pass_on(None)

            def do_POST(self):
                self.pass_on(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

            def pass_on(self, body):
                status, reply = outer.ask(self.path, body)
                self.send_response(status)
                self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
                self.send_header("Content-Length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def ask(self, path, body):
        place, _, name = path.partition("?")[0].rpartition("/")
        if place == "/schemas/guids":
            self.asked.append(name)
            if name not in self.ids:
                return 404, b'{"error_code":40403,"message":"Schema not found"}'
            path = f"/schemas/ids/{self.ids[name]}"
        headers = {"Content-Type": "application/vnd.schemaregistry.v1+json"}
        try:
            with DIRECT.open(urllib.request.Request(self.behind + path, body, headers), timeout=30) as answer:
                status, reply = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
        said = json.loads(reply)
        if isinstance(said, dict) and "id" in said:
            said["guid"] = str(uuid.uuid5(OWN, str(said["id"])))
            self.ids[said["guid"]] = said["id"]
            reply = json.dumps(said).encode()
        return status, reply
