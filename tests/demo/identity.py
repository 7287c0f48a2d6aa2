#!/usr/bin/env python3
"""Domino's answer to "who is this?", for the demo: identity.py TOKEN USER-ID. Prints its port."""

import http.server
import json
import sys

TOKEN, USER = sys.argv[1], sys.argv[2]
KNOWN = {"isAnonymous": False, "isAdmin": False, "canonicalId": USER, "canonicalName": "ada"}


class Principal(http.server.BaseHTTPRequestHandler):
    """One page."""

    def do_GET(self) -> None:
        known = self.path == "/v4/auth/principal" and self.headers["Authorization"] == f"Bearer {TOKEN}"
        body = json.dumps(KNOWN if known else {"isAnonymous": True, "isAdmin": False}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


server = http.server.HTTPServer(("127.0.0.1", 0), Principal)
print(server.server_address[1], flush=True)
server.serve_forever()
