"""Chat requests as somebody wrote them, without a client in between."""

import http.client
import json

from e2e.conftest import CLIENT_KEY
from harness.process import PATIENCE_S


def send(gateway, base, body):
    """Return the status and the text of the whole reply."""
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=PATIENCE_S)
    headers = {"authorization": f"Bearer {CLIENT_KEY}", "content-type": "application/json"}
    connection.request("POST", f"{base}/chat/completions", json.dumps(body), headers)
    reply = connection.getresponse()
    text = reply.read().decode()
    connection.close()
    return reply.status, text
