"""Who may manage keys, credits and usage over the API: whoever has the admin key, or a management key."""

from collections.abc import Callable, Sequence

from fairlead import clock
from fairlead.access.admit import check_alive, token_of, unauthorized
from fairlead.admin.door import Door
from fairlead.errors import ApiError
from fairlead.store.keys import KeyRing

ADMIN = "admin"
REMEDY = "send a management key (fairlead keys create --management), or the admin key"


class ManagementDoor:
    """`door` knows the admin key, `keys` the management keys; `now` tells Unix seconds."""

    def __init__(self, door: Door, keys: KeyRing, now: Callable[[], float] = clock.wall) -> None:
        self._door = door
        self._keys = keys
        self._now = now

    async def check(self, headers: Sequence[tuple[bytes, bytes]]) -> str:
        """Return who it is that sends these headers, for the record: `admin`, or the hash of a management key.

        Raises ApiError: 401 for no key, an unknown, disabled or expired one; 403 for a key that infers; 503 where the
        store would have to be asked, and is away.
        """
        try:
            token = token_of(dict(reversed(headers)))
        except ApiError as refusal:
            raise unauthorized(f"{refusal.message.partition(':')[0]}: {REMEDY}") from None
        if self._is_admin(headers):
            return ADMIN
        key = self._keys.find(token)
        if key is None:
            try:
                key = await self._keys.look_up(token)
            except ApiError as refusal:
                if refusal.status != 401:
                    raise
                raise unauthorized(f"{refusal.message.partition('. ')[0]}: {REMEDY}") from None
        check_alive(key, self._now())
        if not key.is_management:
            text = f"The inference key {key.label} does not manage: {REMEDY}"
            raise ApiError(403, text, error_type="permission_denied")
        return key.hash

    def _is_admin(self, headers: Sequence[tuple[bytes, bytes]]) -> bool:
        try:
            self._door.check(headers)
        except ApiError:
            return False
        return True
