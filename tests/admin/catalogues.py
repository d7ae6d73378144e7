"""Small catalogues."""

from types import MappingProxyType

from fairlead.catalog.model import Catalog, Endpoint, Model, Provider


def catalogue(**providers_of):
    """`catalogue(large=["a", "b"])`: who serves `acme/large`."""
    models = {f"acme/{name}": Model(id=f"acme/{name}", name=name) for name in providers_of}
    endpoints = {
        model.id: tuple(
            Endpoint(Provider(slug=slug, name=slug, base_url="http://x"), model, model.id, None)
            for slug in providers_of[model.name]
        )
        for model in models.values()
    }
    return Catalog(MappingProxyType(models), MappingProxyType(endpoints), MappingProxyType({}))
