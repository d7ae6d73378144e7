"""Keys for apps (OAuth with PKCE): the API, and the page on which somebody agrees."""

from typing import Final, get_args

from fairlead.access.key_request import MAX_LABEL_CHARS
from fairlead.access.keys import Reset
from fairlead.access.pkce import MAX_CALLBACK_CHARS, Method
from fairlead.openapi.operation import HTML, JSON, MANAGEMENT, Operation, Parameter, Paths, Reply
from fairlead.openapi.shapes import ANYTHING, NULL, TEXT, TIME, asked, data, or_null, says, text_of, told, words

TAG: Final = "Keys for apps"

_EMPTY: Final = {"const": "", "description": "As if it were left out"}
_STORED: Final = ("cache-control",)
_PAGE: Final = {HTML: TEXT}

PATHS: Final[Paths] = {
    "/auth/keys/code": {
        "post": Operation(
            "createAuthorizationCode",
            TAG,
            "Make a code for an app that cannot open a browser",
            {
                200: Reply(
                    "`id` is the code",
                    {JSON: data(told({"id": TEXT, "app_id": {"type": "integer"}, "created_at": TIME}))},
                    _STORED,
                )
            },
            "OAuth with PKCE (RFC 7636), as at OpenRouter.",
            security=MANAGEMENT,
            body=asked(
                {
                    "callback_url": {**TEXT, "minLength": 1, "maxLength": MAX_CALLBACK_CHARS, "format": "uri"},
                    "code_challenge": or_null(TEXT),
                    "code_challenge_method": {"anyOf": [words(get_args(Method)), _EMPTY, NULL]},
                    "key_label": or_null(text_of(0, MAX_LABEL_CHARS)),
                    "limit": says(ANYTHING, "USD: a number, or one written out"),
                    "usage_limit_type": {"anyOf": [words(get_args(Reset)), _EMPTY, NULL]},
                    "expires_at": {"anyOf": [TIME, _EMPTY, NULL]},
                },
                ("callback_url",),
            ),
            example={"callback_url": "https://app.example/back"},
            faults=(403, 409),
        )
    },
    "/auth/keys": {
        "post": Operation(
            "exchangeAuthorizationCode",
            TAG,
            "Turn a code and its verifier into a key",
            {200: Reply("The key", {JSON: told({"key": TEXT, "user_id": NULL})}, _STORED)},
            security=(),
            body=asked(
                {
                    "code": {**TEXT, "minLength": 1},
                    "code_verifier": or_null(TEXT),
                    "code_challenge_method": or_null(words(get_args(Method))),
                },
                ("code",),
            ),
            example={"code": "fl-code-…", "code_verifier": "…"},
            faults=(403, 503),
        )
    },
}

CONSENT_PATHS: Final[Paths] = {
    "/auth": {
        "get": Operation(
            "askForConsent",
            TAG,
            "The page on which somebody agrees that an app gets a key",
            {
                200: Reply("The page", _PAGE, _STORED),
                400: Reply("What the app asks for cannot be granted", _PAGE, _STORED),
                503: Reply("The store is away", _PAGE, _STORED),
            },
            security=(),
            parameters=tuple(
                Parameter(name, text, TEXT)
                for name, text in {
                    "callback_url": "Where the code goes; without one it is shown",
                    "code_challenge": "RFC 7636",
                    "code_challenge_method": "`S256` or `plain`",
                    "key_label": "What the key is to be called",
                    "limit": "USD",
                    "usage_limit_type": "daily, weekly or monthly",
                    "expires_at": "A time to come, in UTC",
                }.items()
            ),
        ),
        "post": Operation(
            "answerConsent",
            TAG,
            "The answer to that page",
            {
                200: Reply("The browser goes back to the app", _PAGE, _STORED),
                **{status: Reply("It cannot be granted", _PAGE, _STORED) for status in (400, 401, 403, 409, 413, 503)},
            },
            security=(),
            body={
                "type": "object",
                "properties": {"ticket": TEXT, "decision": TEXT, "key": says(TEXT, "A management key")},
            },
            body_kind="application/x-www-form-urlencoded",
            faults=(429,),
        ),
    },
}
