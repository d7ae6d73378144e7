"""Everything known about provider failures: how a result is judged, and what follows from the verdict.

| class     | examples                                        | fault    | elsewhere | this endpoint          | uptime |
|-----------|-------------------------------------------------|----------|-----------|------------------------|--------|
| OK        | a complete reply                                | –        | –         | –                      | up     |
| CLIENT    | 400/413/422 not of this endpoint                | caller   | no        | –                      | –      |
| GONE      | the caller left                                 | nobody   | –         | –                      | –      |
| CONTEXT   | prompt too long for this endpoint               | caller   | yes       | –                      | –      |
| UNFIT     | a member or feature this endpoint cannot do     | caller   | yes       | –                      | –      |
| MISSING   | the provider does not know the model            | ours     | yes       | cools down             | down   |
| AUTH      | 401, 403 for our key                            | ours     | yes       | the account cools (±)  | ±      |
| QUOTA     | 402, insufficient_quota                         | ours     | yes       | the account cools down | down   |
| LIMIT     | 429                                             | nobody   | yes       | cools (Retry-After)    | –      |
| OVERLOAD  | 503, 529                                        | provider | yes       | failure, cools shortly | down   |
| TRANSIENT | refused, reset, TLS, 5xx                        | provider | yes       | failure                | down   |
| PROTOCOL  | garbage, empty, a web page                      | provider | yes       | failure                | down   |
| TIMEOUT   | a time limit of ours ran out (`Outcome.phase`)  | provider | yes       | failure                | down   |
| EVACUATED | we left, since the endpoint was stuck           | nobody   | yes       | –                      | down   |
| OUTRUN    | another of the attempts had content first       | nobody   | –         | –                      | –      |
| CUT       | the reply broke off after content was passed on | provider | no        | break                  | down   |
| FULL      | all connections that we may have there are used | ours     | yes       | –                      | –      |
| DIVERGED  | asked again after a break, it said other words  | nobody   | –         | –                      | –      |
| OVERSIZE  | more than we hold of a reply to be read whole   | nobody   | yes       | –                      | –      |
| FILTERED  | the provider's content filter refused the text  | caller   | if wanted | –                      | –      |

The last column is for the catalogue's uptime (wire-api, 7.7): an attempt that is up is a success in its minute, one
that is down a failure, the others are not there. It goes by other rules than the breaker: a wrong key, an empty account
(also where the provider says so with 429) and an unknown model leave the caller without an answer. ±: 401 is down; 403
does not count and cools down the endpoint alone, it may be of a region or of the model.

A caller is never told of AUTH or QUOTA by the provider's own status: the credentials and the accounts are
the operator's, so to the caller the endpoint is merely unavailable (502).

Where only the text of a refusal tells the classes apart, it must not be the caller who writes it: providers repeat
parts of the request, and a request must not take an endpoint out of use. So a verdict of 400, 404 or 422 that does
goes by how the text begins, with quotations left out; one that does not may go by any part of it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import Enum, StrEnum, auto

from fairlead.errors import ConnectionsUsed, Diverged, Oversize, ProtocolError, UpstreamError, UpstreamTimeout


class Verdict(StrEnum):
    """The classes of the table above."""

    OK = auto()
    CLIENT = auto()
    GONE = auto()
    CONTEXT = auto()
    UNFIT = auto()
    MISSING = auto()
    AUTH = auto()
    QUOTA = auto()
    LIMIT = auto()
    OVERLOAD = auto()
    TRANSIENT = auto()
    TIMEOUT = auto()
    CUT = auto()
    PROTOCOL = auto()
    EVACUATED = auto()
    OUTRUN = auto()
    DIVERGED = auto()
    OVERSIZE = auto()
    FILTERED = auto()
    FULL = auto()


class Counts(Enum):
    """What an outcome is to the estimators, the breaker and a probe."""

    NOTHING = "nothing"
    """It tells nothing of the endpoint; a probe that ends so is tried again at once."""
    SUCCESS = "success"
    FAILURE = "failure"
    """Before the first token: one more failure in a row, one more in the share of failed attempts."""
    BREAK = "break"
    """After it: one more failure in a row, one more in the share of broken replies."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What follows from a verdict.

    `can_go_elsewhere` allows the next candidate (as long as nothing has been promised to the caller); `retry_tokens` is
    what that takes from the retry budget. The endpoint (if `is_about_account`, all of its provider's) cools down for
    `cool_s` seconds, doubled at each repetition if `does_cool_grow`; a Retry-After goes before both. `is_charged`: the
    provider will want money for it. `is_up`: what it is to the uptime, None where it does not count. `status` and
    `error_type` are what the caller sees if this is the final word; a status of 0 means the provider's own.
    """

    counts: Counts = Counts.NOTHING
    can_go_elsewhere: bool = False
    retry_tokens: float = 1.0
    cool_s: float = 0.0
    does_cool_grow: bool = False
    is_about_account: bool = False
    is_charged: bool = False
    is_up: bool | None = None
    status: int = 0
    error_type: str = "invalid_request"


RULES: Mapping[Verdict, Rule] = {
    Verdict.OK: Rule(Counts.SUCCESS, is_charged=True, is_up=True),
    Verdict.CLIENT: Rule(),
    Verdict.GONE: Rule(is_charged=True, status=499),
    # Of the request, not of the provider's health: going elsewhere takes nothing from the budget.
    Verdict.CONTEXT: Rule(can_go_elsewhere=True, retry_tokens=0.0, error_type="context_length_exceeded"),
    Verdict.UNFIT: Rule(can_go_elsewhere=True, retry_tokens=0.0),
    # Until the next discovery can have told us more.
    Verdict.MISSING: Rule(can_go_elsewhere=True, cool_s=60.0, is_up=False, status=404, error_type="not_found"),
    # routing.md, section 3: 60 s x 2^n. A wrong key or an empty account is mended by people, not by time.
    Verdict.AUTH: Rule(
        can_go_elsewhere=True, cool_s=60.0, does_cool_grow=True, is_about_account=True, is_up=False,
        status=502, error_type="provider_unavailable",
    ),
    Verdict.QUOTA: Rule(
        can_go_elsewhere=True, cool_s=60.0, does_cool_grow=True, is_about_account=True, is_up=False,
        status=502, error_type="provider_unavailable",
    ),
    Verdict.LIMIT: Rule(
        can_go_elsewhere=True, cool_s=1.0, does_cool_grow=True, status=429, error_type="rate_limit_exceeded"
    ),
    Verdict.OVERLOAD: Rule(
        Counts.FAILURE, can_go_elsewhere=True, cool_s=1.0, is_up=False, status=503, error_type="provider_overloaded"
    ),
    Verdict.TRANSIENT: Rule(
        Counts.FAILURE, can_go_elsewhere=True, is_up=False, status=502, error_type="provider_unavailable"
    ),
    Verdict.PROTOCOL: Rule(
        Counts.FAILURE, can_go_elsewhere=True, is_up=False, status=502, error_type="provider_unavailable"
    ),
    # Twice, since the caller has waited for it, and so have others (Finagle: a time-out is the dearest retry).
    Verdict.TIMEOUT: Rule(
        Counts.FAILURE, can_go_elsewhere=True, retry_tokens=2.0, is_up=False, status=504, error_type="timeout"
    ),
    Verdict.EVACUATED: Rule(can_go_elsewhere=True, is_charged=True, is_up=False, status=504, error_type="timeout"),
    Verdict.OUTRUN: Rule(is_charged=True, status=499),
    Verdict.DIVERGED: Rule(is_charged=True, status=502, error_type="provider_unavailable"),
    # Other providers may have other filters: it is for the operator to say whether they are asked.
    Verdict.FILTERED: Rule(retry_tokens=0.0, error_type="content_policy_violation"),
    # A caller can ask for so much (several images): no reason to take the endpoint from others.
    Verdict.OVERSIZE: Rule(can_go_elsewhere=True, is_charged=True, status=502, error_type="provider_unavailable"),
    # Nobody has been asked yet: going elsewhere takes nothing from the budget.
    Verdict.FULL: Rule(can_go_elsewhere=True, retry_tokens=0.0, status=503, error_type="provider_overloaded"),
    Verdict.CUT: Rule(Counts.BREAK, is_charged=True, is_up=False, status=502, error_type="provider_unavailable"),
}  # fmt: skip

MAX_RETRY_AFTER_S = 60.0
"""routing.md, section 3: Retry-After is clamped to [0.1, 60] s. A provider cannot switch itself off for an hour."""
MIN_RETRY_AFTER_S = 0.1


@dataclass(frozen=True, slots=True)
class Outcome:
    """The judged result of one attempt.

    `status` is the provider's (0 when there was none), `retry_after_s` what it asked for, `message` a sentence for the
    log and, where `RULES` lets it through, for the caller.
    """

    verdict: Verdict
    status: int = 0
    message: str = ""
    retry_after_s: float | None = None
    phase: str = ""
    """Of a TIMEOUT: which limit ran out, as in `errors.Phase`."""

    @property
    def rule(self) -> Rule:
        return RULES[self.verdict]

    @property
    def is_about_account(self) -> bool:
        """Of a verdict that may be: a 403 may also be about this model only, unless it speaks of money."""
        return self.status != 403 or self.verdict is Verdict.QUOTA

    @property
    def is_up(self) -> bool | None:
        """As in its rule; but a 403 may be of a region."""
        return None if self.status == 403 and self.verdict is Verdict.AUTH else RULES[self.verdict].is_up


OK = Outcome(Verdict.OK, 200)
GONE = Outcome(Verdict.GONE, 0, "the caller left")
OUTRUN = Outcome(Verdict.OUTRUN, 0, "another endpoint had content first")

_CONTEXT_TEXT = re.compile(
    r"context.?(length|window|limit|size)|max(imum)? (context|prompt|model) length|too many tokens|token limit|"
    r"prompt is too long|input is too long|input token count|range of input length|reduce the length|"
    r"request too large for|exceeds? the maximum number of tokens",
    re.IGNORECASE,
)
_UNFIT_TEXT = re.compile(
    r"(not|n't) support|unsupported|not permitted|extra_forbidden|unrecognized request argument|unknown parameter",
    re.IGNORECASE,
)
_CONTENT_TEXT = re.compile(r"moderation|flagged|content.?(policy|filter|management)|prompt injection", re.IGNORECASE)
# Not "billing" or "quota" alone: what OpenAI and Groq say of a rate limit links to the page where a larger one is sold.
_QUOTA_TEXT = re.compile(
    r"insufficient.?(quota|credit|balance|funds)|exceeded your current quota|billing.hard.limit|credit balance is too",
    re.IGNORECASE,
)
# How refusals begin that are about our side and come with a status that is not.
_QUOTA_START = re.compile(
    r"your credit balance|billing hard limit|insufficient (balance|credits?|funds)", re.IGNORECASE
)
_KEY_START = re.compile(r"((incorrect|invalid|wrong) )?api.?key\b|unauthori[sz]ed|authentication", re.IGNORECASE)
_MISSING_START = re.compile(
    r"(the )?(requested )?model:? (\S+ )?(is |was |has been )?"
    r"(not found|(does )?not exist|decommissioned|not supported by)"
    r"|(invalid|unknown) model\b|\S+ is not a valid model",
    re.IGNORECASE,
)
_OTHER_START = re.compile(r"(no such )?(file|image)\b", re.IGNORECASE)
_MISSING_CODE = re.compile(
    r"model_(not_found|not_supported|decommissioned)|(invalid|unknown)_model|DeploymentNotFound", re.IGNORECASE
)
_QUOTED = re.compile(r"`[^`]{0,300}`|'[^']{0,300}'|\"[^\"]{0,300}\"")


def judge_error(error: UpstreamError, *, is_promised: bool) -> Outcome:
    """Judge an attempt that ended by `error`; `is_promised` says whether content had been passed on before."""
    phase = error.phase if isinstance(error, UpstreamTimeout) else ""
    if isinstance(error, Diverged):
        verdict = Verdict.DIVERGED
    elif isinstance(error, ConnectionsUsed):
        verdict = Verdict.FULL
    elif is_promised:
        verdict = Verdict.CUT
    elif isinstance(error, Oversize):
        verdict = Verdict.OVERSIZE
    elif phase:
        verdict = Verdict.TIMEOUT
    else:
        verdict = Verdict.PROTOCOL if isinstance(error, ProtocolError) else Verdict.TRANSIENT
    return Outcome(verdict, 0, str(error), phase=phase)


def judge_status(
    status: int, *, code: str = "", message: str = "", retry_after: str | None = None, now_unix: float = 0.0
) -> Outcome:
    """Judge a reply by its status and by `code` and `message` of its error body.

    `retry_after` is the header as it came (seconds or an HTTP date, which is compared with `now_unix`).
    """
    if status == 200:
        return OK
    return Outcome(
        _verdict_on_status(status, code, message),
        status,
        message or f"the provider answered {status}",
        _retry_after_s(retry_after, now_unix),
    )


def is_filter(code: str) -> bool:
    """Whether an error's code says that a content filter has refused the request."""
    return _CONTENT_TEXT.search(code) is not None


_BY_STATUS: Mapping[int, Verdict] = {
    401: Verdict.AUTH,
    402: Verdict.QUOTA,
    408: Verdict.TIMEOUT,
    409: Verdict.TRANSIENT,
    410: Verdict.MISSING,  # NVIDIA, of models that have been taken down
    424: Verdict.TRANSIENT,  # Hugging Face, of an engine behind it
    425: Verdict.TRANSIENT,
    498: Verdict.LIMIT,  # Groq, of its flexible tier
    503: Verdict.OVERLOAD,
    504: Verdict.TIMEOUT,
    529: Verdict.OVERLOAD,
}


def _verdict_on_status(status: int, code: str, message: str) -> Verdict:
    """First the statuses that speak for themselves, then those whose text decides."""
    text = f"{code} {message}"
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status == 429:
        # Google says "you exceeded your current quota" of its limits per minute too.
        is_quota = code != "RESOURCE_EXHAUSTED" and _QUOTA_TEXT.search(text)
        return Verdict.QUOTA if is_quota else Verdict.LIMIT
    if status == 403:
        if _CONTENT_TEXT.search(text):
            return Verdict.FILTERED
        return Verdict.QUOTA if _QUOTA_TEXT.search(text) else Verdict.AUTH
    if 400 <= status < 500:
        return _verdict_on_request(status, code, message)
    return Verdict.TRANSIENT  # 5xx, and 2xx/3xx that no chat endpoint should send


def _verdict_on_request(status: int, code: str, message: str) -> Verdict:
    if is_filter(code):
        return Verdict.FILTERED
    start = " ".join(_QUOTED.sub("", message[:400]).split())
    if _MISSING_CODE.fullmatch(code) or _MISSING_START.match(start):
        return Verdict.MISSING
    if status == 400 and _QUOTA_START.match(start):  # Anthropic, of an empty account
        return Verdict.QUOTA
    if status == 400 and _KEY_START.match(start):  # Google and xAI, of a wrong key
        return Verdict.AUTH
    text = f"{code} {message}"
    if _CONTEXT_TEXT.search(text):
        return Verdict.CONTEXT
    if status == 404:
        return _verdict_on_404(start)
    if _UNFIT_TEXT.search(text):
        return Verdict.UNFIT
    return Verdict.FILTERED if _CONTENT_TEXT.search(start) else Verdict.CLIENT


def _verdict_on_404(start: str) -> Verdict:
    """A 404 is about the model, or about the whole of a wrong address, unless it says otherwise."""
    if start.startswith("No endpoints found that support"):  # OpenRouter
        return Verdict.UNFIT
    return Verdict.CLIENT if _OTHER_START.match(start) else Verdict.MISSING


def _retry_after_s(value: str | None, now_unix: float) -> float | None:
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - now_unix
        except (ValueError, TypeError, OverflowError):
            return None
    if seconds != seconds:  # NaN
        return None
    return min(max(seconds, MIN_RETRY_AFTER_S), MAX_RETRY_AFTER_S)
