import email.utils
import math
from types import MappingProxyType
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.errors import (
    ConnectError,
    ConnectionsUsed,
    Diverged,
    Oversize,
    Phase,
    ProtocolError,
    StaleConnection,
    Truncated,
    UpstreamError,
    UpstreamTimeout,
)
from fairlead.health import outcome
from fairlead.health.outcome import (
    GONE,
    MAX_RETRY_AFTER_S,
    MIN_RETRY_AFTER_S,
    OK,
    OUTRUN,
    RULES,
    Counts,
    Outcome,
    Verdict,
    judge_error,
    judge_status,
)

V = Verdict


def verdict(status, message="", code=""):
    return judge_status(status, code=code, message=message).verdict


class TestRules:
    NOTHING, SUCCESS, FAILURE, BREAK = Counts.NOTHING, Counts.SUCCESS, Counts.FAILURE, Counts.BREAK
    UNAVAILABLE = (502, "provider_unavailable")
    ITS_OWN = (0, "invalid_request")
    TABLE = (
        # counts as, elsewhere for so many retry tokens, cools for and does it grow, the account, charged, what is told,
        # whether it was up
        (V.OK, SUCCESS, None, 0, False, False, True, ITS_OWN, True),
        (V.CLIENT, NOTHING, None, 0, False, False, False, ITS_OWN, None),
        (V.GONE, NOTHING, None, 0, False, False, True, (499, "invalid_request"), None),
        (V.CONTEXT, NOTHING, 0, 0, False, False, False, (0, "context_length_exceeded"), None),
        (V.UNFIT, NOTHING, 0, 0, False, False, False, ITS_OWN, None),
        (V.MISSING, NOTHING, 1, 60, False, False, False, (404, "not_found"), False),
        (V.AUTH, NOTHING, 1, 60, True, True, False, UNAVAILABLE, False),
        (V.QUOTA, NOTHING, 1, 60, True, True, False, UNAVAILABLE, False),
        (V.LIMIT, NOTHING, 1, 1, True, False, False, (429, "rate_limit_exceeded"), None),
        (V.OVERLOAD, FAILURE, 1, 1, False, False, False, (503, "provider_overloaded"), False),
        (V.TRANSIENT, FAILURE, 1, 0, False, False, False, UNAVAILABLE, False),
        (V.TIMEOUT, FAILURE, 2, 0, False, False, False, (504, "timeout"), False),
        (V.CUT, BREAK, None, 0, False, False, True, UNAVAILABLE, False),
        (V.PROTOCOL, FAILURE, 1, 0, False, False, False, UNAVAILABLE, False),
        (V.EVACUATED, NOTHING, 1, 0, False, False, True, (504, "timeout"), False),
        (V.OUTRUN, NOTHING, None, 0, False, False, True, (499, "invalid_request"), None),
        (V.DIVERGED, NOTHING, None, 0, False, False, True, UNAVAILABLE, None),
        (V.OVERSIZE, NOTHING, 1, 0, False, False, True, UNAVAILABLE, None),
        (V.FILTERED, NOTHING, None, 0, False, False, False, (0, "content_policy_violation"), None),
        (V.FULL, NOTHING, 0, 0, False, False, False, (503, "provider_overloaded"), None),
    )

    def test_every_verdict_has_its_rule(self):
        """In an order that is only ever added to: the numbers of verdicts are in the store."""
        assert [row[0] for row in self.TABLE] == list(Verdict)
        assert set(RULES) == set(Verdict)

    @pytest.mark.parametrize("row", TABLE, ids=lambda row: row[0])
    def test_rule(self, row):
        kind, counts, retry_tokens, cool_s, grows, is_about_account, is_charged, told, is_up = row
        rule = RULES[kind]
        assert (rule.counts, rule.is_charged) == (counts, is_charged)
        assert (rule.retry_tokens if rule.can_go_elsewhere else None) == retry_tokens
        assert (rule.cool_s, rule.does_cool_grow, rule.is_about_account) == (cool_s, grows, is_about_account)
        assert (rule.status, rule.error_type) == told
        assert rule.is_up is is_up

    def test_the_table_at_its_head_has_them_all(self):
        rows = [line.split("|")[1].strip() for line in outcome.__doc__.splitlines() if line.startswith("|")]
        assert set(rows[2:]) == {kind.name for kind in Verdict}

    def test_its_last_column_says_what_counts_for_uptime(self):
        rows = [[cell.strip() for cell in line.split("|")] for line in outcome.__doc__.splitlines() if line[:1] == "|"]
        word = {True: "up", False: "down", None: "–"}
        assert {row[1]: row[-2] for row in rows[2:]} == {
            kind.name: "±" if kind is V.AUTH else word[RULES[kind].is_up] for kind in Verdict
        }

    def test_the_caller_never_learns_of_our_credentials(self):
        for kind in (V.AUTH, V.QUOTA):
            assert RULES[kind].status == 502
            assert RULES[kind].error_type == "provider_unavailable"

    def test_what_only_concerns_the_account_is_no_failure_of_the_endpoint(self):
        assert all(rule.counts is Counts.NOTHING for rule in RULES.values() if rule.is_about_account)

    def test_whoever_got_content_cannot_go_elsewhere(self):
        assert not any(RULES[kind].can_go_elsewhere for kind in (V.OK, V.CUT))

    @pytest.mark.parametrize("known", [OK, GONE, OUTRUN], ids=lambda known: known.verdict)
    def test_those_that_are_always_the_same(self, known):
        assert known.rule is RULES[known.verdict]
        assert (known.retry_after_s, known.phase) == (None, "")

    def test_their_verdicts(self):
        assert (OK.verdict, GONE.verdict, OUTRUN.verdict) == (V.OK, V.GONE, V.OUTRUN)


class TestUptime:
    """What counts for it, by what the provider says (wire-api, 7.7)."""

    @pytest.mark.parametrize(
        ("status", "code", "message", "is_up"),
        [
            (200, "", "", True),
            *((status, "", "", False) for status in (401, 402, 404, 408, 500, 502, 503, 504, 529)),
            *((status, "", "", None) for status in (400, 403, 413, 422, 429, 498)),
            (403, "unsupported_country_region_territory", "Country, region, or territory not supported", None),
            (403, "", "Your credit balance is too low", False),
            (429, "insufficient_quota", "You exceeded your current quota", False),
            (400, "", "prompt is too long: 208310 tokens > 200000 maximum", None),
            (400, "", "Incorrect API key provided: sk-ab***yz.", False),
        ],
    )
    def test_refusals(self, status, code, message, is_up):
        assert judge_status(status, code=code, message=message).is_up is is_up

    @pytest.mark.parametrize("is_promised", [False, True])
    @pytest.mark.parametrize("error", [ConnectError("refused"), ProtocolError("no HTTP"), UpstreamTimeout("idle", 1.0)])
    def test_faults_of_the_connection_and_of_the_reply(self, error, is_promised):
        assert judge_error(error, is_promised=is_promised).is_up is False

    def test_who_leaves_and_who_was_overtaken(self):
        assert GONE.is_up is OUTRUN.is_up is None

    def test_a_limit_of_ours_is_no_fault_of_the_providers(self):
        judged = judge_error(ConnectionsUsed("api.example", 1000), is_promised=False)
        assert (judged.verdict, judged.is_up, judged.rule.counts) == (V.FULL, None, Counts.NOTHING)
        assert "all 1000 connections of this worker to api.example are in use" in judged.message
        assert "FAIRLEAD_UPSTREAM_MAX_CONNECTIONS" in judged.message


class TestErrors:
    PHASES = get_args(Phase)

    @pytest.mark.parametrize(
        ("error", "expected"),
        [
            (ConnectError("refused"), V.TRANSIENT),
            (StaleConnection("closed"), V.TRANSIENT),
            (ProtocolError("not HTTP"), V.PROTOCOL),
            (Oversize("too much"), V.OVERSIZE),
            (Truncated("ended"), V.TRANSIENT),
            (UpstreamError("something else"), V.TRANSIENT),
            *((UpstreamTimeout(phase, 1.0), V.TIMEOUT) for phase in PHASES),
        ],
        ids=repr,
    )
    def test_before_and_after_content(self, error, expected):
        assert judge_error(error, is_promised=False).verdict is expected
        assert judge_error(error, is_promised=True).verdict is V.CUT
        for is_promised in (False, True):
            judged = judge_error(error, is_promised=is_promised)
            assert (judged.status, judged.message, judged.retry_after_s) == (0, str(error), None)

    def test_another_answer_is_nobodys_fault(self):
        assert judge_error(Diverged("other"), is_promised=True) == Outcome(V.DIVERGED, 0, "other")

    def test_every_error_of_the_tree_is_judged(self):
        """A new kind needs its line above."""
        known = {
            ConnectError,
            ConnectionsUsed,
            StaleConnection,
            ProtocolError,
            Oversize,
            Truncated,
            UpstreamTimeout,
            Diverged,
        }
        assert set(UpstreamError.__subclasses__()) == known

    @pytest.mark.parametrize("phase", PHASES)
    @pytest.mark.parametrize("is_promised", [False, True])
    def test_which_limit_ran_out(self, phase, is_promised):
        assert judge_error(UpstreamTimeout(phase, 1.0), is_promised=is_promised).phase == phase

    @pytest.mark.parametrize("error", [ConnectError("refused"), ProtocolError("not HTTP"), Truncated("ended")])
    def test_none_did(self, error):
        assert judge_error(error, is_promised=False).phase == ""

    @pytest.mark.parametrize("status", [408, 504])
    def test_nor_of_ours_when_the_provider_says_so(self, status):
        judged = judge_status(status)
        assert (judged.verdict, judged.phase) == (V.TIMEOUT, "")


class TestStatuses:
    UNUSUAL = MappingProxyType({
        401: V.AUTH,
        402: V.QUOTA,
        403: V.AUTH,
        404: V.MISSING,
        408: V.TIMEOUT,
        409: V.TRANSIENT,
        410: V.MISSING,
        424: V.TRANSIENT,
        425: V.TRANSIENT,
        429: V.LIMIT,
        498: V.LIMIT,
        503: V.OVERLOAD,
        504: V.TIMEOUT,
        529: V.OVERLOAD,
    })  # fmt: skip

    def test_without_a_word(self):
        for status in range(100, 600):
            usual = V.CLIENT if 400 <= status < 500 else V.TRANSIENT
            expected = V.OK if status == 200 else self.UNUSUAL.get(status, usual)
            message = "" if status == 200 else f"the provider answered {status}"
            assert judge_status(status) == Outcome(expected, status, message)


OPENAI_CONTEXT = (
    "This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens. "
    "Please reduce the length of the messages."
)
GOOGLE_LIMIT = (
    "You exceeded your current quota, please check your plan and billing details. For more information on this error, "
    "head to: https://ai.google.dev/gemini-api/docs/rate-limits.\n* Quota exceeded for metric: "
    "generate_content_free_tier_requests, limit: 10\nPlease retry in 31.2s."
)
OPENAI_QUOTA = "You exceeded your current quota, please check your plan and billing details."
GROQ_LIMIT = (
    "Rate limit reached for model `llama-3.3-70b` in organization `org_1` on tokens per minute (TPM): Limit 6000, Used "
    "5000, Requested 2000. Need more tokens? Upgrade to Dev Tier today at https://console.groq.com/settings/billing"
)
AZURE_CONTENT = (
    "The response was filtered due to the prompt triggering Azure OpenAI's content management policy. "
    "Please modify your prompt and retry."
)

CORPUS = [
    # OpenAI
    (401, "invalid_api_key", "Incorrect API key provided: sk-ab***yz.", V.AUTH),
    (429, "insufficient_quota", OPENAI_QUOTA, V.QUOTA),
    (429, "rate_limit_exceeded", "Rate limit reached for gpt-5 on tokens per min (TPM): Limit 30000", V.LIMIT),
    (429, "tokens", "You can increase your limit by adding a payment method at /account/billing", V.LIMIT),
    (400, "context_length_exceeded", OPENAI_CONTEXT, V.CONTEXT),
    (400, "context_length_exceeded", "Your input exceeds the context window of this model.", V.CONTEXT),
    (404, "model_not_found", "The model `gpt-9` does not exist or you do not have access to it.", V.MISSING),
    (
        400,
        "unsupported_parameter",
        "'max_tokens' is not supported with this model. Use 'max_completion_tokens'",
        V.UNFIT,
    ),
    (400, "unsupported_value", "'temperature' does not support 0.2 with this model.", V.UNFIT),
    (400, "invalid_value", "Invalid value: 'robot'. Supported values are: 'system', 'user'", V.CLIENT),
    (400, "invalid_type", "Invalid type for 'messages': expected an array of objects", V.CLIENT),
    (400, "billing_hard_limit_reached", "Billing hard limit has been reached", V.QUOTA),
    (403, "unsupported_country_region_territory", "Country, region, or territory not supported", V.AUTH),
    (500, "server_error", "The server had an error while processing your request.", V.TRANSIENT),
    (503, "", "The engine is currently overloaded, please try again later", V.OVERLOAD),
    # Azure
    (400, "content_filter", AZURE_CONTENT, V.FILTERED),
    (404, "DeploymentNotFound", "The API deployment for this resource does not exist.", V.MISSING),
    # Anthropic
    (400, "invalid_request_error", "prompt is too long: 208310 tokens > 200000 maximum", V.CONTEXT),
    (400, "invalid_request_error", "input length and `max_tokens` exceed context limit: 198000 + 8192", V.CONTEXT),
    (400, "invalid_request_error", "Your credit balance is too low to access the Anthropic API.", V.QUOTA),
    (401, "authentication_error", "invalid x-api-key", V.AUTH),
    (404, "not_found_error", "model: claude-9", V.MISSING),
    (413, "request_too_large", "Request exceeds the maximum size", V.CLIENT),
    (429, "rate_limit_error", "This request would exceed your organization's rate limit of 40,000 tokens", V.LIMIT),
    (529, "overloaded_error", "Overloaded", V.OVERLOAD),
    # Google
    (400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", V.AUTH),
    (400, "INVALID_ARGUMENT", "API key expired. Please renew the API key.", V.AUTH),
    (400, "INVALID_ARGUMENT", "The input token count (1200000) exceeds the maximum number of tokens", V.CONTEXT),
    (400, "INVALID_ARGUMENT", 'Invalid JSON payload received. Unknown name "foo": Cannot find field.', V.CLIENT),
    (403, "PERMISSION_DENIED", "Generative Language API has not been used in project 1", V.AUTH),
    (404, "NOT_FOUND", "models/gemini-9 is not found for API version v1main, or is not supported", V.MISSING),
    (429, "RESOURCE_EXHAUSTED", GOOGLE_LIMIT, V.LIMIT),
    (503, "UNAVAILABLE", "The model is overloaded. Please try again later.", V.OVERLOAD),
    # Groq
    (429, "rate_limit_exceeded", GROQ_LIMIT, V.LIMIT),
    (413, "rate_limit_exceeded", "Request too large for model `llama` on tokens per minute (TPM)", V.CONTEXT),
    (400, "model_decommissioned", "The model `x` has been decommissioned and is no longer supported.", V.MISSING),
    (400, "invalid_request_error", "`tool calling` is not supported with this model", V.UNFIT),
    (400, "json_validate_failed", "Failed to generate JSON. Please adjust your prompt.", V.CLIENT),
    # Mistral
    (422, "invalid_request_error", "Extra inputs are not permitted (body.logit_bias)", V.UNFIT),
    (422, "invalid_request_error", "Field required (body.messages)", V.CLIENT),
    (400, "invalid_model", "Invalid model: mistral-huge", V.MISSING),
    (400, "1500", "Invalid model: mistral-huge", V.MISSING),
    (400, "3051", "Prompt contains 40000 tokens, too large for model with 32768 maximum context length", V.CONTEXT),
    # DeepSeek
    (402, "invalid_request_error", "Insufficient Balance", V.QUOTA),
    (400, "invalid_request_error", "Model Not Exist", V.MISSING),
    # OpenRouter
    (400, "400", "foo/bar is not a valid model ID", V.MISSING),
    (402, "402", "This request requires more credits, or fewer max_tokens.", V.QUOTA),
    (403, "403", "Your chosen model requires moderation and your input was flagged", V.FILTERED),
    (403, "403", "Request blocked: prompt injection patterns detected", V.FILTERED),
    (403, "403", "Key limit exceeded (total limit). Manage it using https://openrouter.ai/keys", V.AUTH),
    (404, "404", "No endpoints found for foo/bar.", V.MISSING),
    (404, "404", "No endpoints found that support image input", V.UNFIT),
    (429, "429", "Provider returned error", V.LIMIT),
    # xAI
    (400, "Client specified an invalid argument", "Incorrect API key provided: xa***. Get one at x.ai", V.AUTH),
    (400, "", "This model's maximum prompt length is 131072 but the request contains 200000 tokens.", V.CONTEXT),
    (400, "", "Model grok-3 does not support parameter reasoningEffort.", V.UNFIT),
    # Others
    (400, "", "Requested token count exceeds the model's maximum context length of 4096 tokens.", V.CONTEXT),  # SGLang
    (400, "", "The decoder prompt (length 5000) is longer than the maximum model length of 4096.", V.CONTEXT),  # vLLM
    (400, "exceed_context_size_error", "the request exceeds the available context size", V.CONTEXT),  # llama.cpp
    (404, "", "model 'llama9' not found", V.MISSING),  # Ollama
    (404, "", "Not Found", V.MISSING),  # a wrong base URL
    (400, "model_not_supported", "The requested model 'a/b' is not supported by any provider", V.MISSING),  # HF
    (400, "unknown_model", "Unknown model: gpt-9", V.MISSING),  # GitHub
    (400, "", "Your request exceeded model token limit: 8192", V.CONTEXT),  # Moonshot
    (400, "content_policy_violation", "Your request was rejected by our safety system.", V.FILTERED),
    (400, "", "Content Policy Violation: the prompt was flagged", V.FILTERED),
    (400, "unknown_parameter", "Unknown parameter: 'moderation'.", V.UNFIT),
    (400, "invalid_value", "Invalid value: 'flagged'. Supported values are: 'a', 'b'", V.CLIENT),
    (404, "invalid_request_error", "No such File object: file-abc", V.CLIENT),
    (400, "", "", V.CLIENT),
]


class TestCorpus:
    """What providers really say."""

    @pytest.mark.parametrize(("status", "code", "message", "expected"), CORPUS)
    def test_refusal(self, status, code, message, expected):
        judged = judge_status(status, code=code, message=message)
        assert judged.verdict is expected
        assert judged.message == (message or f"the provider answered {status}")


class TestCallersWords:
    """Providers repeat what the caller wrote. It must not put an endpoint to rest, nor count against its health."""

    WORDS = (
        "api key", "API key not valid", "unauthorized", "authentication", "billing hard limit", "insufficient balance",
        "your credit balance", "model not found", "The model x does not exist", "unknown model",
        "x is not a valid model",
    )  # fmt: skip

    @pytest.mark.parametrize("word", WORDS)
    @pytest.mark.parametrize(
        "refusal",
        [
            "Invalid value: '{}'. Supported values are: 'system', 'assistant', 'user', and 'tool'.",
            "Additional properties are not allowed ('{}' was unexpected) - 'messages.0'",
            "Extra inputs are not permitted (body.{})",
            "Unrecognized request argument supplied: {}",
            "Invalid schema for function `{}`: schema must be a JSON object",
            "'{}' is not one of ['auto', 'none'] - 'tool_choice'",
            '"{}" is not a valid role',
        ],
    )
    def test_a_bad_request_is_nobodys_fault(self, word, refusal):
        for status in (400, 422):
            rule = RULES[verdict(status, refusal.format(word))]
            assert not rule.cool_s
            assert rule.counts is Counts.NOTHING

    @given(st.text(max_size=300), st.text(max_size=50))
    def test_any_text_gives_a_verdict(self, message, code):
        for status in (400, 403, 404, 413, 422, 429):
            assert verdict(status, message, code) in Verdict

    @pytest.mark.parametrize(
        "text",
        [
            *(
                word * (100_000 // len(word))
                for word in ("model ", "the requested model: ", "context ", "insufficient ")
            ),
            *(mark * (100_000 // len(mark)) for mark in ("'", "`a'\"", " ", "a", "maximum ", "no such ")),
        ],
    )
    def test_hostile_text_costs_no_more_than_its_length(self, text):
        """Quadratic, 100 kB would take minutes."""
        for status in (400, 403, 404, 429):
            verdict(status, text, text)


class TestRetryAfter:
    NOW = 1_700_000_000.0

    def wait(self, value):
        return judge_status(429, retry_after=value, now_unix=self.NOW).retry_after_s

    @pytest.mark.parametrize(
        ("value", "seconds"),
        [
            (None, None),
            ("2", 2.0),
            ("2.5", 2.5),
            (" 7 ", 7.0),
            ("0", MIN_RETRY_AFTER_S),
            ("-5", MIN_RETRY_AFTER_S),
            ("3600", MAX_RETRY_AFTER_S),
            ("inf", MAX_RETRY_AFTER_S),
            ("1e999", MAX_RETRY_AFTER_S),
            ("-inf", MIN_RETRY_AFTER_S),
            ("nan", None),
            ("", None),
            ("soon", None),
            ("1, 2", None),
            ("Tue, 14 Nov 2023 22:13:30 GMT", 10.0),
            ("Tue, 14 Nov 2023 23:13:30 +0100", 10.0),
            ("Tuesday, 14-Nov-23 22:13:30 GMT", 10.0),
            ("Tue, 14 Nov 2023 22:00:00 GMT", MIN_RETRY_AFTER_S),
            ("Wed, 15 Nov 2023 22:00:00 GMT", MAX_RETRY_AFTER_S),
            ("Tue, 99 Nov 2023 22:00:00 GMT", None),
            ("Tue, 14 Nov 99999999999 22:00:00 GMT", None),
        ],
    )
    def test_forms(self, value, seconds):
        assert self.wait(value) == seconds

    @given(st.integers(min_value=1, max_value=59))
    def test_any_date(self, ahead):
        assert self.wait(email.utils.formatdate(self.NOW + ahead, usegmt=True)) == ahead

    @given(st.text(max_size=40) | st.text("0123456789 :,+-GMTanovue.", max_size=40))
    def test_noise(self, value):
        seconds = self.wait(value)
        assert seconds is None or MIN_RETRY_AFTER_S <= seconds <= MAX_RETRY_AFTER_S

    @given(st.floats())
    def test_any_number(self, value):
        seconds = self.wait(repr(value))
        assert seconds is None if math.isnan(value) else MIN_RETRY_AFTER_S <= seconds <= MAX_RETRY_AFTER_S

    def test_it_is_kept_whatever_the_verdict(self):
        assert judge_status(503, retry_after="3").retry_after_s == 3.0
        assert judge_status(200, retry_after="3").retry_after_s is None
