"""Texts that would become something else where they are written on without care, and the places to put them."""

FORGED = "X-Forged: yes"
POISONS = {
    "line feed": f"a\n{FORGED}\n\n",
    "carriage return": f"a\r{FORGED}\r\r",
    "both": f"a\r\n{FORGED}\r\n\r\n",
    "NUL": f"a\x00{FORGED}",
    "next line": f"a\x85{FORGED}",
    "line separator": f"a\u2028{FORGED}",
    "paragraph separator": f"a\u2029{FORGED}",
    "vertical tab": f"a\x0b{FORGED}",
    "form feed": f"a\x0c{FORGED}",
    "file separator": f"a\x1c{FORGED}",
    "escape": f"a\x1b[2J\x1b]0;{FORGED}\x07",
    "escape of C1": f"a\x9b2J{FORGED}",
    "delete": f"a\x7f{FORGED}",
    "direction of writing": f"a\u202e{FORGED}",
    "quotes": f'a", "forged": "{FORGED}',
    "backslash": f"a\\r\\n{FORGED}\\",
    "percent": f"a%0d%0a{FORGED}",
    "markup": f"a<script>{FORGED}</script>&quot;]]>",
    "line of a log": f'a\n{{"event":"request","id":"gen-0-0"}}\n200 lab/m lab · 1 ms · gen-0-0\n{FORGED}',
    "look-up": f"a${{jndi:ldap://127.0.0.1/{FORGED}}}",
    "template": f"a{{{{7*7}}}}%s%n{{0}}{FORGED}",
    "length": "a" * 3_000 + FORGED,
}

FIELDS = (
    "X-Request-Id", "Traceparent", "Tracestate", "Baggage", "X-Title", "X-OpenRouter-Title", "HTTP-Referer", "Referer",
    "User-Agent", "X-OpenRouter-Categories", "X-Session-Id", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto",
    "Forwarded", "X-Real-IP", "Origin", "Cookie", "Content-Type", "Accept", "Accept-Encoding", "X-OpenRouter-Cache",
    "X-OpenRouter-Cache-TTL", "X-OpenRouter-Experimental-Metadata", "OpenAI-Organization", "Idempotency-Key",
    "X-Api-Key", "X-Demo-Script",
)  # fmt: skip
"""None is refused for what it says, and none but the first three ever reaches a provider."""
TRACES = ("Traceparent", "Tracestate")

MEMBERS = {
    # where the caller's text stands in the body, and whether the request is answered
    "user": (lambda text: {"user": text}, True),
    "session_id": (lambda text: {"session_id": text}, True),
    "prompt_cache_key": (lambda text: {"prompt_cache_key": text}, True),
    "message": (lambda text: {"messages": [{"role": "user", "content": text}]}, True),
    "role": (lambda text: {"messages": [{"role": text, "content": "hello"}]}, True),
    "name of a member": (lambda text: {text: 1}, True),
    "a model before one that there is": (lambda text: {"model": text[:200], "models": ["lab/m"]}, True),
    "trace": (lambda text: {"trace": {"trace_id": text, text: text}}, True),
    "metadata": (lambda text: {"metadata": {text: text}}, True),
    "tool": (lambda text: {"tools": [{"type": "function", "function": {"name": text}}]}, True),
    "route": (lambda text: {"route": text}, True),
    "plugin": (lambda text: {"plugins": [{"id": text}]}, True),
    "transform": (lambda text: {"transforms": [text]}, True),
    "effort": (lambda text: {"reasoning": {"effort": text}}, True),
    "model": (lambda text: {"model": text}, False),
    "model behind a known one": (lambda text: {"model": f"lab/m:{text}"}, False),
    "preset": (lambda text: {"preset": text}, False),
    "preset behind a model": (lambda text: {"model": f"lab/m@preset/{text}"}, False),
    "provider": (lambda text: {"provider": {"only": [text]}}, False),
    "order of providers": (lambda text: {"provider": {"order": [text], "allow_fallbacks": False}}, False),
    "sorting of providers": (lambda text: {"provider": {"sort": text}}, False),
    "stream": (lambda text: {"stream": text}, False),
    "limit": (lambda text: {"max_tokens": text}, False),
}

PATHS = (
    "/{}", "/v1/models/{}", "/v1/models/lab/m/{}", "/v1/presets/{}", "/v1/keys/{}", "/v1/generation?id={}",
    "/v1/models?sort={}", "/v1/models?q={}", "/v1/models?use_rss=true&q={}", "/v1/models?{}=1", "/v1/activity?date={}",
    "/auth?callback_url=https://app.example/{}&code_challenge=" + "x" * 43 + "&code_challenge_method=plain",
    "/auth?callback_url=https://app.example/&key_label={}", "/auth?code_challenge={}",
)  # fmt: skip
