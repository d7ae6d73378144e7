"""Names that no setting has: most are typing errors, and a typing error must not start with a default in its place."""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping

from fairlead.config.sources import Layer, printable

PREFIX = "FAIRLEAD_"

_SERVICE_LINK = re.compile(
    r"FAIRLEAD_([A-Z0-9]+_)*(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9]+)*|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
_SERVICE_PORT = re.compile(r"FAIRLEAD_([A-Z0-9]+_)*PORT")


def without_service_links(environ: Mapping[str, str]) -> dict[str, str]:
    """`environ` without what Kubernetes adds for Services called `fairlead` or `fairlead-…`.

    For each Service that is older than the pod the pod gets FAIRLEAD_SERVICE_HOST, FAIRLEAD_PORT=tcp://10.0.0.1:8420,
    FAIRLEAD_PORT_8420_TCP and more: the first roll-out would start and the next would not. None of them can be meant
    for us. Source: Kubernetes, "Accessing the Service", environment variables (`enableServiceLinks`).
    """
    return {name: text for name, text in environ.items() if not _is_service_link(name, text)}


def _is_service_link(name: str, text: str) -> bool:
    if _SERVICE_PORT.fullmatch(name) and text.startswith(("tcp://", "udp://", "sctp://")):
        return True
    return _SERVICE_LINK.fullmatch(name) is not None


def unknown_names(
    layers: Iterable[Layer], is_known: Callable[[str], bool], candidates: Callable[[str], Iterable[str]]
) -> list[str]:
    """One line for each `FAIRLEAD_…` name that is not known. Values are left out: they may be secret.

    `candidates(name)` are the names that `name` could have been meant for.
    """
    return [
        f"{printable(name)} ({layer.source}): no such setting; {_remedy(name, candidates(name))}"
        for layer in layers
        for name in sorted(layer.values)
        if name.startswith(PREFIX) and not is_known(name)
    ]


def _remedy(name: str, candidates: Iterable[str]) -> str:
    # Without the prefix, which all have in common and which would make everything similar.
    by_rest = {candidate.removeprefix(PREFIX): candidate for candidate in candidates}
    close = difflib.get_close_matches(name.removeprefix(PREFIX).upper(), by_rest, n=1, cutoff=0.7)
    return f"did you mean {by_rest[close[0]]}?" if close else "remove it (.env.example names every setting)"
