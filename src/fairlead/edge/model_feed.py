"""The model list as an RSS 2.0 feed, for those who want to hear of new ones: `GET {base}/models?use_rss=true`.

An item links to its model under `base`, by the address that the caller has used. There is no chat page here, so
`use_rss_chat_links` changes nothing.
"""

import re
from collections.abc import Iterable
from email.utils import formatdate
from html import escape  # that of xml.sax loads a client for HTTP and FTP

from fairlead.catalog.model import Model

MEDIA_TYPE = "application/rss+xml"

_NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def feed(models: Iterable[Model], models_url: str) -> bytes:
    """Return the feed of models in the order given; `models_url` is where their list is."""
    items = "".join(_item(model, models_url) for model in models)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<rss version="2.0"><channel>'
        f"<title>Models</title><link>{_text(models_url)}</link>"
        f"<description>Models that can be asked for, in the order of the list</description>{items}"
        "</channel></rss>\n"
    ).encode()


def _item(model: Model, models_url: str) -> str:
    date = f"<pubDate>{formatdate(model.created, usegmt=True)}</pubDate>" if model.created else ""
    return (
        f"<item><title>{_text(model.name)}</title><link>{_text(f'{models_url}/{model.id}')}</link>"
        f'<guid isPermaLink="false">{_text(model.id)}</guid>'
        f"<description>{_text(model.description or model.id)}</description>{date}</item>"
    )


def _text(text: str) -> str:
    return escape(_NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text), quote=False)
