import xml.etree.ElementTree as ElementTree
from email.utils import parsedate_to_datetime

from hypothesis import given
from hypothesis import strategies as st

from fairlead.catalog.model import Model
from fairlead.edge.model_feed import feed

from .catalogues import LARGE, SMALL

URL = "http://gateway.example/v1/models"


def items(*models):
    channel = ElementTree.fromstring(feed(models, URL)).find("channel")
    assert channel.findtext("link") == URL
    assert channel.findtext("title")
    assert channel.findtext("description")
    return [{member.tag: member.text for member in item} for item in channel.findall("item")]


def test_a_model():
    [item] = items(LARGE)
    assert parsedate_to_datetime(item.pop("pubDate")).timestamp() == LARGE.created
    assert item == {"title": "Acme: Large", "link": f"{URL}/acme/large", "guid": "acme/large", "description": "Large."}


def test_one_of_unknown_age():
    [item] = items(SMALL)
    assert "pubDate" not in item


def test_the_order_stays():
    assert [item["guid"] for item in items(SMALL, LARGE)] == ["acme/small", "acme/large"]


def test_nothing():
    assert items() == []


@given(st.text(min_size=1))
def test_any_text_can_be_in_it(text):
    [item] = items(Model(f"acme/x{text}", text, description=text))
    assert item["guid"].startswith("acme/x")
