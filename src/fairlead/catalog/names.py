"""One model, many spellings: from a provider's id to `author/name`, and from a client's spelling to the same.

A provider's id is tried as it is, then with ever more of the provider's own habits taken off (`accounts/…/models/`,
`-Turbo`, `v3p1`, `-20250929`), until a spelling is known. An id that nobody knows keeps its own name under its author,
so a wrong guess can never send a request to another model than the one that was named.
"""

import re
from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Final

AUTHORS: Final[Mapping[str, str]] = {
    "alibaba": "qwen",
    "amazon-bedrock": "amazon",
    "deepseek-ai": "deepseek",
    "google-ai-studio": "google",
    "gemini": "google",
    "inceptionlabs": "inception",
    "meta-models": "meta",
    "minimaxai": "minimax",
    "mistral": "mistralai",
    "moonshot": "moonshotai",
    "stepfun-ai": "stepfun",
    "thudm": "z-ai",
    "xai": "x-ai",
    "xiaomimimo": "xiaomi",
    "zai": "z-ai",
    "zai-org": "z-ai",
    "zhipuai": "z-ai",
}
"""How others spell the authors that OpenRouter has slugs for."""

_FAMILIES: Final = (
    (re.compile(r"(gpt-|chatgpt-|o\d(-|$)|codex)"), "openai"),
    (re.compile(r"claude-"), "anthropic"),
    (re.compile(r"(gemini|gemma)"), "google"),
    (re.compile(r"deepseek"), "deepseek"),
    (re.compile(r"grok-"), "x-ai"),
    (re.compile(r"(kimi|moonshot)"), "moonshotai"),
    (re.compile(r"(zai-)?glm"), "z-ai"),
    (re.compile(r"minimax"), "minimax"),
    (re.compile(r"(mi[sx]tral|codestral|devstral|magistral|ministral|pixtral|voxtral|open-mi[sx]tral)"), "mistralai"),
    (re.compile(r"(meta-)?llama"), "meta-llama"),
    (re.compile(r"(qwen|qwq)"), "qwen"),
    (re.compile(r"(command|c4ai-)"), "cohere"),
    (re.compile(r"(nvidia-)?nemotron"), "nvidia"),
    (re.compile(r"phi-\d"), "microsoft"),
    (re.compile(r"sonar"), "perplexity"),
    (re.compile(r"muse-"), "meta"),
    (re.compile(r"mimo"), "xiaomi"),
    (re.compile(r"step-\d"), "stepfun"),
    (re.compile(r"hermes"), "nousresearch"),
    (re.compile(r"inkling"), "thinkingmachines"),
)
"""Whose a bare id is by its looks. Used only to find a known model, never to name an unknown one."""

_CLOSED: Final = frozenset({"openai", "anthropic", "x-ai"})
"""Authors whose `-turbo` is another model; of open weights it is another way to serve the same one."""

_DATED_CLAUDE: Final = re.compile(r"(-latest|[-@]20\d{6})$")
_DASHED_VERSION: Final = re.compile(r"(?<=\d)-(?=\d{1,2}(?:-|$))")

_SPELLINGS: Final = (
    (re.compile(r"(?<=\d)p(?=\d)"), "."),  # Fireworks: kimi-k2p5
    (_DASHED_VERSION, "."),  # Mistral: zai-glm-5-3
    (re.compile(r"^(zai|nvidia|meta|deepseek-ai|google|openai)-(?=[a-z])"), ""),  # the author, said twice
    (re.compile(r"^llama-?v?(?=\d)"), "llama-"),  # Cerebras llama3.1-8b, Fireworks llama-v3p1-8b-instruct
    (re.compile(r"^qwen-(?=\d)"), "qwen"),  # Cerebras: qwen-3-32b
    (re.compile(r"^qwen(?=2\.5-(?!vl|coder-7b))"), "qwen-"),  # OpenRouter is of two minds about Qwen 2.5
    (re.compile(r":latest$"), ""),  # Ollama
    (re.compile(r":"), "-"),  # Ollama: gpt-oss:120b
    (re.compile(r"\.gguf$"), ""),  # llama.cpp: a file name
)
_SERVINGS: Final = (
    (re.compile(r"-(fp8|fp4|nvfp4|bf16|int4|int8|awq|gptq|maas|tput|tee)$"), ""),
    (re.compile(r"-q\d(_[a-z0-9]+)*$"), ""),
    (re.compile(r"-(turbo|lite|reference|basic)$"), ""),
    (re.compile(r"^(llama-[\d.]+-\d+b)(-versatile|-instant)?$"), r"\1-instruct"),  # Groq, Cerebras, Ollama
    (re.compile(r"^(gemma-.*\db)$"), r"\1-it"),
)


def canonical(upstream_id: str, home: str, known: Mapping[str, str], *, are_ids_canonical: bool = False) -> str:
    """Return `author/name` for what a provider calls `upstream_id`.

    `home` is the author of ids that name none (`BuiltinProvider.home`, or a custom provider's slug); `known` maps every
    known spelling to its canonical id, the canonical ids to themselves.
    """
    author, name = _split(upstream_id, home)
    plain = f"{author}/{name}"
    if found := known.get(upstream_id.lower()) or known.get(plain):
        return found
    if are_ids_canonical:
        return plain
    plain = f"{author}/{_tidy(author, name)}"
    for owner in _owners(author, name, home):
        for spelling in _spellings(owner, _tidy(owner, name), is_own=owner == home):
            if found := known.get(f"{owner}/{spelling}"):
                return found
    return plain


def _split(upstream_id: str, home: str) -> tuple[str, str]:
    """Author and name of an id, in lower case; `home` where it names no author."""
    text = upstream_id.lower().replace("\\", "/")
    if text.startswith(("/", ".")) or text.endswith(".gguf"):  # llama.cpp and vLLM may name a file or folder
        return home, text.rstrip("/").rpartition("/")[2]
    text = re.sub(r"^(models|accounts/fireworks/(models|routers))/", "", text)
    text = re.sub(r"^(accounts|publishers)/([^/]+)/models/", r"\2/", text)
    author, slash, name = text.partition("/")
    if not slash:
        return home, text
    return AUTHORS.get(author, author), name


def _tidy(author: str, name: str) -> str:
    """What holds for every model of an author, known or not: Anthropic dates its ids and has no dots in them."""
    if author != "anthropic":
        return name
    name = _DATED_CLAUDE.sub("", name)
    return _DASHED_VERSION.sub(".", name).removesuffix(".0")


def _owners(author: str, name: str, home: str) -> Iterator[str]:
    yield author
    if author == home:
        yield from (family for pattern, family in _FAMILIES if family != home and pattern.match(name))


def _spellings(author: str, name: str, *, is_own: bool) -> Iterator[str]:
    """`name`, then each way to rewrite it, those with fewest rewrites first."""
    is_open = author not in _CLOSED or name.startswith("gpt-oss")
    rules = _SPELLINGS + _SERVINGS if is_open and not is_own else _SPELLINGS
    seen = {name: None}
    fresh = [name]
    while fresh:
        yield from fresh
        rewritten = [pattern.sub(into, spelling) for spelling in fresh for pattern, into in rules]
        fresh = list(dict.fromkeys(spelling for spelling in rewritten if spelling not in seen))
        seen.update(dict.fromkeys(fresh))


def aliases(models: Iterable[str], others: Mapping[str, str]) -> dict[str, str]:
    """Return every other spelling that clients may use, mapped to its canonical id.

    These are the entries of `others` (spelling to canonical id), the name without its author, dashes for the dots of a
    version, and the author as other gateways spell it. A spelling that could mean two models means none.
    """
    models = frozenset(models)
    names = {model: model for model in models} | {s: m for s, m in others.items() if m in models}
    meanings: dict[str, set[str]] = {}
    for spelling, model in names.items():
        for variant in _client_spellings(spelling):
            meanings.setdefault(variant, set()).add(model)
    # What is listed by name is not made doubtful by what is merely derived.
    found = {spelling: meant.pop() for spelling, meant in meanings.items() if len(meant) == 1} | names
    return {spelling: model for spelling, model in found.items() if spelling not in models and spelling not in _OWN}


_GATEWAYS: Final = ("openrouter/", "megarouter/", "gaterouter/", "fairlead/")
_OWN: Final = frozenset({"auto", "fusion"})
_OTHER_AUTHORS: Final = {
    author: tuple(spelling for spelling, meant in AUTHORS.items() if meant == author) for author in AUTHORS.values()
}


def _client_spellings(model: str) -> Iterator[str]:
    author, _, name = model.partition("/")
    dashed = re.sub(r"(?<=\d)\.(?=\d)", "-", name)
    for spelling in dict.fromkeys((name, dashed)):
        yield spelling
        yield f"{author}/{spelling}"
        for other in _OTHER_AUTHORS.get(author, ()):
            yield f"{other}/{spelling}"


def strip_gateway_prefix(model_id: str, known: Container[str]) -> str:
    """Take off the `openrouter/` and the like that clients put before a model id.

    Only when what remains is `auto`, `fusion` or, with or without its `:variant`, in `known`; else the id comes back
    as it was.
    """
    for prefix in _GATEWAYS:
        if model_id.startswith(prefix):
            rest = strip_gateway_prefix(model_id.removeprefix(prefix), known)
            base = rest.partition(":")[0]
            if rest in known or base in known or base in _OWN:
                return rest
    return model_id
