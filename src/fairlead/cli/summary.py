"""What `fairlead serve` says when it is up: what runs, where, and a request to try. Pure text."""

import json
import shlex
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fairlead import __version__
from fairlead.admin.key import AdminKey
from fairlead.edge.asgi import BASES

WIDTH = 100
_INDENT = " " * 13
"""As wide as the names of the rows with what is around them."""


def reachable(url: str) -> str:
    """Return `url` as it can be used from this machine: nobody connects to the address that stands for all of them."""
    return url.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")


@dataclass(frozen=True, slots=True)
class Summary:
    """`on` and `demo` are names of providers; `off` pairs each provider with the variable that turns it on."""

    url: str
    workers: int
    store: str
    on: Sequence[str]
    off: Sequence[tuple[str, str]]
    demo: Mapping[str, str]
    key: str | None
    """A key to show: the demo key, or one just created. None where the operator has them already."""
    is_new_key: bool
    admin_key: AdminKey
    """Shown only if it has just been made."""
    model: str | None
    """One to try; None while it is not known what the providers serve."""

    def text(self) -> str:
        """Return the summary, a block of aligned lines and a curl command that streams."""
        rows = [
            ("fairlead", f"{__version__}, {self.workers} worker{'' if self.workers == 1 else 's'}"),
            ("state", self.store),
            ("base URLs", "  ".join(self.url + base for base in BASES)),
            ("key", self._key()),
            ("admin key", self._admin_key()),
            ("providers", _wrapped(self.on, ", ").lstrip() or self._none_on()),
        ]
        if self.demo:
            rows.append(("demo", f"{', '.join(self.demo)} (simulated replies, no account, no cost)"))
        if self.off:
            variables = _wrapped(variable for _, variable in self.off)
            others = "others" if self.on or self.demo else "providers"
            rows.append(("off", f"{len(self.off)} {others}; each of these variables turns one on:\n{variables}"))
        lines = [f"  {name:<10} {value}" for name, value in rows]
        return "\n" + "\n".join(lines) + "\n\n" + self._example()

    def _key(self) -> str:
        if self.key is None:
            return "one of yours, as $FAIRLEAD_KEY (fairlead keys create --name NAME makes another)"
        return f"{self.key}   (new; shown only this once)" if self.is_new_key else self.key

    def _admin_key(self) -> str:
        key = self.admin_key
        if key.secret is None:
            return f"none, and nobody gets in: {key.problem}"
        if not key.is_new:
            return f"that of {key.place}"
        return f"{key.secret.reveal()}   (shown only this once)\n{_INDENT}kept in {key.place}"

    def _none_on(self) -> str:
        # Off loopback the simulated ones do not start by themselves, so there may be nothing at all to ask for.
        return "none" if self.demo else "none, and no simulated ones: no model can be asked for (FAIRLEAD_DEMO=on)"

    def _example(self) -> str:
        message = {"role": "user", "content": "Say hello"}
        body = json.dumps({"model": self.model or "MODEL", "stream": True, "messages": [message]})
        where = "" if self.model else f", with one of {self.url}{BASES[0]}/models for MODEL"
        return (
            f"  Try it{where}:\n\n"
            f"  curl -N {self.url}{BASES[0]}/chat/completions \\\n"
            f'    -H "Authorization: Bearer {self.key or "$FAIRLEAD_KEY"}" \\\n'
            f'    -H "Content-Type: application/json" \\\n'
            f"    -d {shlex.quote(body)}\n"
        )


def _wrapped(words: Iterable[str], separator: str = " ") -> str:
    """The words on indented lines, none of them broken."""
    return textwrap.fill(
        separator.join(words),
        WIDTH,
        initial_indent=_INDENT,
        subsequent_indent=_INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )
