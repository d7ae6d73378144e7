"""The admin key: the operator's own, or one that is made at the first start and kept in the data directory.

    sk-fl-admin-v1-<64 hex digits of randomness>

It is one secret for a whole installation and stands in a file, where `fairlead top` finds it too; the file is readable
by its user only. What is compared with it is never printed or logged.
"""

import os
import re
import secrets
import tempfile
from dataclasses import dataclass
from pathlib import Path

from fairlead.config.secret import Secret

PREFIX = "sk-fl-admin-v1-"
FILE = "admin.key"
VARIABLE = "FAIRLEAD_ADMIN_KEY"

_FORM = re.compile(rf"{PREFIX}[0-9a-f]{{64}}")
_MOST_BYTES = 1000


@dataclass(frozen=True, slots=True)
class AdminKey:
    """The key, if there is one; where it stands; and why there is none."""

    secret: Secret | None
    place: str
    """The variable, or the path of the file."""
    is_new: bool = False
    """Just made: nobody has seen it yet."""
    problem: str = ""
    """With the remedy."""


def find(given: Secret | None, data_dir: Path) -> AdminKey:
    """Return the key that is in use: `given`, else that of the data directory. Changes nothing."""
    if given is not None:
        return AdminKey(given, VARIABLE)
    file = data_dir / FILE
    try:
        with open(file, "rb") as stored:
            text = stored.read(_MOST_BYTES).decode("ascii", "replace").strip()
    except FileNotFoundError:
        return AdminKey(None, str(file), problem=f"there is no {file} yet; set {VARIABLE}, or start fairlead")
    except OSError as error:
        return AdminKey(None, str(file), problem=f"{file} cannot be read ({error.strerror}); set {VARIABLE}")
    if not _FORM.fullmatch(text):
        return AdminKey(None, str(file), problem=f"{file} holds no admin key; remove it for a new one")
    return AdminKey(Secret(text), str(file))


def find_or_make(given: Secret | None, data_dir: Path) -> AdminKey:
    """The same, but where nothing stands yet a key is made and kept. Raises nothing: without a key nobody gets in."""
    found = find(given, data_dir)
    file = data_dir / FILE
    if found.secret is not None or os.path.lexists(file):
        return found
    token = PREFIX + secrets.token_hex(32)
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(file, token)
    except FileExistsError:  # another start was faster
        return find(given, data_dir)
    except OSError as error:
        return AdminKey(None, str(file), problem=f"{file} cannot be written ({error.strerror}); set {VARIABLE}")
    return AdminKey(Secret(token), str(file), is_new=True)


def _write(file: Path, token: str) -> None:
    """Create `file`, whole or not at all, for its user only. Raises FileExistsError."""
    descriptor, draft = tempfile.mkstemp(prefix=f".{FILE}-", dir=file.parent)  # mode 0600
    try:
        with open(descriptor, "w", encoding="ascii") as stream:
            stream.write(f"{token}\n")
        os.link(draft, file)
    finally:
        os.unlink(draft)
