from urllib.parse import urlsplit

import pytest

from fairlead.store.places import places


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("x://a", [("a", 9)]),
        ("x://a:1,b,c:3/main?q=d,e", [("a", 1), ("b", 9), ("c", 3)]),
        ("x://u:p%40,s@a:1,[::1]:2,[::2]", [("a", 1), ("::1", 2), ("::2", 9)]),
    ],
)
def test_places(url, expected):
    assert places(urlsplit(url), 9) == expected
