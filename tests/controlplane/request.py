"""One HTTP request with every detail in the caller's hands.

kubectl chooses user agent, patch body and field manager itself; some tests must choose them. As a
program it reads one JSON object from standard input and prints the answer as one JSON object:

    in   url, method, headers [[name, value], ...], body (text or null), ca (file or null), timeout
    out  status, headers [[name, value], ...], body    or    error
"""

import http.client
import json
import ssl
import sys
import urllib.parse
from collections.abc import Iterable
from typing import NamedTuple, Optional

Header = tuple[str, str]


class Answer(NamedTuple):
    """What the server said."""

    status: int
    headers: Iterable[Header]
    body: str


def send(
    url: str,
    method: str = "GET",
    headers: Iterable[Header] = (),
    body: Optional[str] = None,
    ca: Optional[str] = None,
    timeout: float = 30.0,
) -> Answer:
    """Send the request; nothing is added to it but Host, Accept-Encoding and Content-Length."""
    parts = urllib.parse.urlsplit(url)
    if parts.hostname is None:
        raise ValueError(f"not a full URL: {url}")
    if parts.scheme == "https":
        context = ssl.create_default_context(cafile=ca)
        link: http.client.HTTPConnection = http.client.HTTPSConnection(
            parts.hostname, parts.port, timeout=timeout, context=context
        )
    else:
        link = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
    path = urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
    try:
        # Not link.request(): it takes a dict, and Impersonate-Group may be there twice.
        link.putrequest(method, path)
        for name, value in headers:
            link.putheader(name, value)
        data = None if body is None else body.encode()
        if data is not None:
            link.putheader("Content-Length", str(len(data)))
        link.endheaders(data)
        response = link.getresponse()
        text = response.read().decode(errors="replace")
        return Answer(response.status, response.getheaders(), text)
    finally:
        link.close()


def main() -> None:
    """Serve one request from standard input."""
    asked = json.load(sys.stdin)
    try:
        answer = send(**asked)._asdict()
    except (OSError, ValueError, http.client.HTTPException) as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
