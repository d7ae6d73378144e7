"""The rows of the model list: what does not change from one request to the next is made once for each catalogue.

    Listing     the rows of one catalogue, newest first, each with its JSON
    Listings    the current one, and the parts of it that keys may use

Making three hundred rows takes some ten milliseconds; whoever asks for them gets what was made for the first who did.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

import orjson

from fairlead.access.admit import may_use_model, may_use_provider
from fairlead.access.keys import ApiKey
from fairlead.catalog.model import Catalog, Endpoint, Model, Price
from fairlead.edge.model_view import AUTO_ID, alias_object, auto_model, model_object, tokenizer
from fairlead.edge.price_view import cheapest
from fairlead.plan.filters import excluded
from fairlead.plan.variants import find_named
from fairlead.plan.wish import wish_of

KEYS_REMEMBERED = 64
"""Different rights of keys for which a listing is kept: some 2 KB for each row that differs from everybody's."""


@dataclass(frozen=True, slots=True)
class Row:
    """A model with those of its endpoints that may be used."""

    model: Model
    endpoints: tuple[Endpoint, ...]
    price: Price | None
    """The one that is shown."""
    tokenizer: str
    words: str
    """Where a search looks, in lower case."""
    json: bytes


class Listing:
    """Rows, newest first (those of unknown age last, each age in the order of the catalogue), and a way to find one."""

    def __init__(self, catalog: Catalog, rows: Iterable[Row]) -> None:
        self.catalog = catalog
        self.rows = tuple(sorted(rows, key=lambda row: -row.model.created))
        self.parameters = frozenset[str]().union(*(row.model.supported_parameters for row in self.rows))
        self._by_id = {row.model.id: row for row in self.rows}

    def find(self, name: str) -> Row | None:
        """Return the row of a model by any of its names. Of variants `:free` counts: it leaves what costs nothing."""
        if name in ("auto", AUTO_ID):
            return self._by_id.get(AUTO_ID)
        named = find_named(self.catalog, name)
        row = self._by_id.get(named.model_id) if named is not None else None
        if row is None or named is None or "free" not in named.variants:
            return row
        free = tuple(one for one in row.endpoints if one.price is not None and one.price.is_free)
        return replace(row, endpoints=free) if free else None

    def json_of(self, name: str) -> bytes | None:
        """Return the JSON of the model with this name; an alias such as `~author/family-latest` is shown as one."""
        row = self.find(name)
        if row is None or not name.startswith("~"):
            return row.json if row is not None else None
        return orjson.dumps(alias_object(name.partition(":")[0], orjson.loads(row.json)))


@dataclass(slots=True)
class _Made:
    """What has been made of one catalogue."""

    listing: Listing
    for_keys: dict[tuple[object, ...], Listing] = field(default_factory=dict)


class Listings:
    """What is listed under `base`. `has_auto`: whether the router is listed as a model, where a key does not say."""

    def __init__(self, base: str, catalog: Callable[[], Catalog], *, has_auto: bool = False) -> None:
        self._base = base
        self._catalog = catalog
        self._has_auto = has_auto
        self._made: _Made | None = None

    def current(self) -> Listing:
        return self._current().listing

    def of_key(self, key: ApiKey) -> Listing:
        """Return what a key may use: the models and the providers it allows, less what its preferences rule out."""
        made = self._current()
        has_auto = self._has_auto if key.is_auto_routing is None else key.is_auto_routing
        rights = (key.allowed_models, key.allowed_providers, key.preferences, has_auto)
        if rights == ((), (), "", self._has_auto):
            return made.listing
        found = made.for_keys.get(rights)
        if found is None:
            if len(made.for_keys) >= KEYS_REMEMBERED:
                made.for_keys.clear()
            found = made.for_keys[rights] = self._narrowed(made.listing, key, has_auto=has_auto)
        return found

    def _current(self) -> _Made:
        catalog = self._catalog()
        if self._made is None or self._made.listing.catalog is not catalog:
            rows = [self._row(catalog.models[model_id], served) for model_id, served in catalog.endpoints.items()]
            if self._has_auto:
                rows.append(self._row(auto_model(catalog), ()))
            self._made = _Made(Listing(catalog, rows))
        return self._made

    def _narrowed(self, whole: Listing, key: ApiKey, *, has_auto: bool) -> Listing:
        wish = wish_of(key.preferences, None, ())
        rows = []
        for row in whole.rows:
            usable = tuple(
                endpoint
                for endpoint in row.endpoints
                if may_use_provider(key, endpoint.provider.slug) and excluded(endpoint, wish) is None
            )
            if usable and may_use_model(key, row.model.id):
                rows.append(row if len(usable) == len(row.endpoints) else self._row(row.model, usable))
        if has_auto and rows:
            usable_by_id: Mapping[str, tuple[Endpoint, ...]] = {row.model.id: row.endpoints for row in rows}
            rows.append(self._row(auto_model(Catalog(whole.catalog.models, usable_by_id, {})), ()))
        return Listing(whole.catalog, rows)

    def _row(self, model: Model, served: tuple[Endpoint, ...]) -> Row:
        return Row(
            model,
            served,
            cheapest(endpoint.price for endpoint in served),
            tokenizer(model.id),
            f"{model.id} {model.name}".lower(),
            orjson.dumps(model_object(model, served, self._base)),
        )
