import pytest

from fairlead import errors
from fairlead.errors import ApiError, FairleadError, UpstreamError, UpstreamTimeout


def tree(kind, depth=0):
    """Class names as the drawing in the module's docstring has them: by depth, in order."""
    yield depth, kind.__name__
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from tree(child, depth + 1)


def test_the_drawing_is_the_tree():
    drawn = []
    for line in errors.__doc__.splitlines():
        text = line.lstrip(" │├└─")
        if text and text.split()[0] in vars(errors):
            drawn.append(((len(line) - len(text) - 4) // 4, text.split()[0]))
    assert drawn == list(tree(FairleadError))


def test_what_a_caller_is_told():
    error = ApiError(429, "slow down", error_type="rate_limit_exceeded", param="n", headers={"retry-after": "1"})
    assert (str(error), error.status, error.error_type, error.param) == ("slow down", 429, "rate_limit_exceeded", "n")
    assert (error.metadata, error.headers) == ({}, {"retry-after": "1"})
    assert ApiError(400, "no").error_type == "invalid_request"


@pytest.mark.parametrize(
    ("phase", "limit_s", "text"),
    [
        ("connect", 5.0, "connect time limit of 5 s ran out"),
        ("first_byte", 0.25, "first byte time limit of 0.25 s ran out"),
        ("total", 900.0, "total time limit of 900 s ran out"),
    ],
)
def test_which_time_limit(phase, limit_s, text):
    error = UpstreamTimeout(phase, limit_s)
    assert isinstance(error, UpstreamError)
    assert (str(error), error.phase, error.limit_s) == (text, phase, limit_s)
