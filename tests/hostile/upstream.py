"""What a provider is to get of a request, to the byte."""

from fairlead import __version__

UPSTREAM_KEYS = {"lab": "sk-hostile-upstream-of-lab", "good": "sk-hostile-upstream-of-good"}
MODEL, UPSTREAM_MODEL = "lab/m", "lab-m"


def upstream_body(body):
    return body.replace(f'"{MODEL}"'.encode(), f'"{UPSTREAM_MODEL}"'.encode())


def upstream_head(lab, body, request_id, *traces):
    """All that stands before the body. Nothing in it is the caller's but the id and `traces`."""
    lines = [
        "POST /v1/chat/completions HTTP/1.1",
        f"host: 127.0.0.1:{lab.simulator.port}",
        "content-type: application/json",
        f"user-agent: fairlead/{__version__}",
        f"authorization: Bearer {UPSTREAM_KEYS['lab']}",
        f"x-request-id: {request_id}",
        *traces,
        "accept: application/json",
        "accept-encoding: identity",
        f"content-length: {len(body)}",
        "",
        "",
    ]
    return "\r\n".join(lines).encode()
