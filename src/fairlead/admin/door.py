"""Who may see and change the gateway: whoever has the admin key, nobody else."""

import hashlib
import hmac
from collections.abc import Callable, Sequence

from fairlead.access.admit import token_of
from fairlead.access.keys import looks_like_ours
from fairlead.errors import ApiError

REMEDY = "send the admin key: FAIRLEAD_ADMIN_KEY, or what the file admin.key in FAIRLEAD_DATA_DIR holds"


class Door:
    """`key` is the admin key; with None nobody gets in. `is_inference_key` knows the keys of callers by sight."""

    def __init__(self, key: str | None, is_inference_key: Callable[[bytes], bool]) -> None:
        self._hash = hashlib.sha256(key.encode()).digest() if key else None
        self._is_inference_key = is_inference_key

    def check(self, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """Raise ApiError unless a request with these headers carries the admin key: 401, or 403 for other keys of ours.

        Hashes are compared, in constant time: how long it takes tells nothing about the key.
        """
        try:
            token = token_of(dict(reversed(headers)))
        except ApiError as refusal:
            text = f"{refusal.message.partition(':')[0]}: {REMEDY}"
            raise ApiError(401, text, error_type="authentication", headers=refusal.headers) from None
        if self._hash is None:
            text = "The administration is closed, since there is no admin key: set FAIRLEAD_ADMIN_KEY and reload"
            raise ApiError(403, text, error_type="permission_denied")
        if hmac.compare_digest(hashlib.sha256(token).digest(), self._hash):
            return
        if looks_like_ours(token) or self._is_inference_key(token):
            text = f"An inference key does not open the administration: {REMEDY}"
            raise ApiError(403, text, error_type="permission_denied")
        challenge = {"www-authenticate": 'Bearer realm="fairlead"'}
        raise ApiError(401, f"This is not the admin key: {REMEDY}", error_type="authentication", headers=challenge)
