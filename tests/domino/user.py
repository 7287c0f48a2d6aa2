#!/usr/bin/env python3
"""A user of Domino: user.py SNIPPET CLUSTER.

Runs a documented snippet as it stands, then goes on with the headers that it made: the documented scale, and
the documented look at the cluster. Prints the three answers as JSON.
"""

import json
import runpy
import sys

import requests

snippet, cluster = sys.argv[1:]
made = runpy.run_path(snippet)
service = made["endpoint"].removesuffix("/rayclusterscaler/list")
headers = made["headers"]
payload = {"cluster_name": cluster, "replicas": 5}
answers = [
    made["resp"],
    requests.post(f"{service}/raycluster/scale", headers=headers, json=payload, timeout=30),
    requests.get(f"{service}/raycluster/{cluster}", headers=headers, timeout=30),
]
print(json.dumps([{"url": it.url, "status": it.status_code, "body": it.json()} for it in answers]))
