#!/usr/bin/env python3
"""One request, for a machine without curl: request.py METHOD URL TOKEN [JSON]. Prints status and body."""

import sys
import urllib.error
import urllib.request

method, url, token, *body = sys.argv[1:]
headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
request = urllib.request.Request(url, body[0].encode() if body else None, headers, method=method)
try:
    with urllib.request.urlopen(request, timeout=30) as answer:
        print(answer.status, answer.read().decode())
except urllib.error.HTTPError as refusal:
    print(refusal.code, refusal.read().decode())
