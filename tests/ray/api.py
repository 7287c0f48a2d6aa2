"""The few calls a kubelet makes: list and watch Pods, write their status, ask for a token.

In: a kubeconfig of JSON, as `controlplane/plane.py` writes them. Out: parsed objects, or `Refused`.
"""

import http.client
import json
import ssl
import sys
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "controlplane"))

import request  # noqa: E402

Json = dict[str, Any]
CALL_SECONDS = 10.0
# The server ends a watch after this, and the socket gives up soon after a server that does not.
WATCH_SECONDS = 120
# What a call can fail with while the server is away; anything else is a fault of ours.
AWAY = (OSError, http.client.HTTPException)


class Refused(Exception):
    """The server said no."""

    def __init__(self, answer: request.Answer) -> None:
        super().__init__(f"{answer.status}: {answer.body[:500]}")
        self.status = answer.status


class Api:
    """One identity at one API server."""

    def __init__(self, kubeconfig: Path) -> None:
        config = json.loads(kubeconfig.read_text())
        cluster = config["clusters"][0]["cluster"]
        self.server: str = cluster["server"]
        self.ca = Path(cluster["certificate-authority"])
        self._token: str = config["users"][0]["user"]["token"]

    def call(
        self, method: str, path: str, body: Optional[Json] = None, content: str = "application/json"
    ) -> Json:
        """One request and its parsed answer."""
        headers = [
            ("Authorization", f"Bearer {self._token}"),
            ("Content-Type", content),
            ("User-Agent", "pod-runner"),
        ]
        text = None if body is None else json.dumps(body)
        answer = request.send(
            self.server + path, method, headers, text, str(self.ca), CALL_SECONDS
        )
        if not 200 <= answer.status < 300:
            raise Refused(answer)
        found: Json = json.loads(answer.body)
        return found

    def watch(self, path: str, version: str) -> Iterator[Json]:
        """Events after `version` until the server ends the watch."""
        parts = urllib.parse.urlsplit(self.server)
        link = http.client.HTTPSConnection(
            parts.hostname or "",
            parts.port,
            timeout=WATCH_SECONDS + 10,
            context=ssl.create_default_context(cafile=str(self.ca)),
        )
        query = f"watch=1&allowWatchBookmarks=true&timeoutSeconds={WATCH_SECONDS}"
        separator = "&" if "?" in path else "?"
        try:
            link.request(
                "GET",
                f"{path}{separator}{query}&resourceVersion={version}",
                headers={"Authorization": f"Bearer {self._token}"},
            )
            response = link.getresponse()
            if response.status != 200:
                body = response.read().decode(errors="replace")
                raise Refused(request.Answer(response.status, [], body))
            while True:
                line = response.readline()
                if not line:
                    return
                event: Json = json.loads(line)
                yield event
        finally:
            link.close()
