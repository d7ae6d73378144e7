"""Hosts and ports in a URL that names several."""

from urllib.parse import SplitResult, urlsplit


def places(url: SplitResult, default_port: int) -> list[tuple[str, int]]:
    """Return what stands between the credentials and the path, as in `a:7000,[::1]:7001,c`."""
    found = [urlsplit(f"//{place}") for place in url.netloc.rpartition("@")[2].split(",")]
    return [(place.hostname or "", place.port or default_port) for place in found]
