"""The providers known by name: one line of data each, turned on by their environment variables.

A new provider that speaks OpenAI's dialect with a bearer token is a new line here and nothing else. Left out on
purpose: Vertex (short-lived OAuth tokens) and Bedrock (region in the host, request signatures).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import SplitResult, urlsplit


@dataclass(frozen=True, slots=True)
class BuiltinProvider:
    """What is known about a provider before anything is configured."""

    slug: str
    name: str
    base_url: str | None
    """Without a trailing slash; None where the operator has to say it (`base_url_variable`)."""
    key_variables: tuple[str, ...]
    """Where its key may be found, in order of preference."""
    base_url_variable: str
    """Overrides `base_url`; for local engines and Azure it is what turns the provider on."""
    authors: tuple[str, ...] = ()
    """Whose models its bare ids are; empty for those who serve many authors' models."""
    root_path: str = "/v1"
    """Appended to an operator's base URL that has no path."""
    is_local: bool = False
    """An engine of the operator's own: the key is optional and tokens cost nothing."""
    auth_header: str = "authorization"
    is_stream_usage_on_request: bool = True
    """As `Provider.is_stream_usage_on_request`."""
    are_ids_canonical: bool = False
    """Whether its model ids are `author/name` in our own spelling."""
    is_discoverable: bool = True
    """Whether `GET {base}/models` lists what can be called (Azure lists what could be deployed)."""

    @property
    def home(self) -> str:
        """The author given to ids that name none: its own, or its slug when it serves many."""
        return self.authors[0] if self.authors else self.slug


def _hosted(
    slug: str,
    name: str,
    base_url: str,
    *key_variables: str,
    authors: tuple[str, ...] = (),
    is_stream_usage_on_request: bool = True,
    are_ids_canonical: bool = False,
) -> BuiltinProvider:
    return BuiltinProvider(
        slug=slug,
        name=name,
        base_url=base_url,
        key_variables=key_variables,
        base_url_variable=_variable(slug),
        authors=authors,
        root_path=urlsplit(base_url).path,
        is_stream_usage_on_request=is_stream_usage_on_request,
        are_ids_canonical=are_ids_canonical,
    )


def _local(slug: str, name: str) -> BuiltinProvider:
    prefix = slug.upper()
    return BuiltinProvider(slug, name, None, (f"{prefix}_API_KEY",), _variable(slug), is_local=True)


def _variable(slug: str) -> str:
    return f"{slug.upper().replace('-', '_')}_BASE_URL"


BUILTIN: tuple[BuiltinProvider, ...] = (
    # Who serves their own models.
    _hosted("openai", "OpenAI", "https://api.openai.com/v1", "OPENAI_API_KEY", authors=("openai",)),
    _hosted("anthropic", "Anthropic", "https://api.anthropic.com/v1", "ANTHROPIC_API_KEY", authors=("anthropic",)),
    _hosted(
        "google-ai-studio",
        "Google AI Studio",
        "https://generativelanguage.googleapis.com/v1beta/openai",
        "GEMINI_API_KEY",
        "GOOGLE_API_KEY",
        "GOOGLE_GENERATIVE_AI_API_KEY",
        authors=("google",),
    ),
    _hosted("deepseek", "DeepSeek", "https://api.deepseek.com", "DEEPSEEK_API_KEY", authors=("deepseek",)),
    _hosted("xai", "xAI", "https://api.x.ai/v1", "XAI_API_KEY", authors=("x-ai",)),
    _hosted("moonshotai", "Moonshot AI", "https://api.moonshot.ai/v1", "MOONSHOT_API_KEY", authors=("moonshotai",)),
    _hosted("z-ai", "Z.AI", "https://api.z.ai/api/paas/v4", "ZAI_API_KEY", "ZHIPU_API_KEY", authors=("z-ai",)),
    _hosted("minimax", "MiniMax", "https://api.minimax.io/v1", "MINIMAX_API_KEY", authors=("minimax",)),
    _hosted(
        "mistral",
        "Mistral",
        "https://api.mistral.ai/v1",
        "MISTRAL_API_KEY",
        authors=("mistralai",),
        is_stream_usage_on_request=False,  # 422 on the option; usage comes unasked
    ),
    _hosted("cohere", "Cohere", "https://api.cohere.ai/compatibility/v1", "COHERE_API_KEY", authors=("cohere",)),
    _hosted(
        "perplexity",
        "Perplexity",
        "https://api.perplexity.ai",
        "PERPLEXITY_API_KEY",
        authors=("perplexity",),
        is_stream_usage_on_request=False,
    ),
    _hosted(
        "alibaba",
        "Alibaba Cloud",
        "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
        "DASHSCOPE_API_KEY",
        authors=("qwen",),
    ),
    _hosted("meta", "Meta", "https://api.llama.com/compat/v1", "LLAMA_API_KEY", authors=("meta-llama",)),
    _hosted("inception", "Inception", "https://api.inceptionlabs.ai/v1", "INCEPTION_API_KEY", authors=("inception",)),
    _hosted("upstage", "Upstage", "https://api.upstage.ai/v1/solar", "UPSTAGE_API_KEY", authors=("upstage",)),
    _hosted("stepfun", "StepFun", "https://api.stepfun.com/v1", "STEPFUN_API_KEY", authors=("stepfun",)),
    _hosted("xiaomi", "Xiaomi", "https://api.xiaomimimo.com/v1", "XIAOMI_API_KEY", authors=("xiaomi",)),
    # Who serves other authors' models.
    _hosted("groq", "Groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY", is_stream_usage_on_request=False),
    _hosted("together", "Together", "https://api.together.xyz/v1", "TOGETHER_API_KEY"),
    _hosted(
        "fireworks",
        "Fireworks",
        "https://api.fireworks.ai/inference/v1",
        "FIREWORKS_API_KEY",
        is_stream_usage_on_request=False,
    ),
    _hosted("cerebras", "Cerebras", "https://api.cerebras.ai/v1", "CEREBRAS_API_KEY"),
    _hosted("deepinfra", "DeepInfra", "https://api.deepinfra.com/v1/openai", "DEEPINFRA_API_KEY"),
    _hosted("nvidia", "NVIDIA", "https://integrate.api.nvidia.com/v1", "NVIDIA_API_KEY"),
    _hosted("sambanova", "SambaNova", "https://api.sambanova.ai/v1", "SAMBANOVA_API_KEY"),
    _hosted("siliconflow", "SiliconFlow", "https://api.siliconflow.com/v1", "SILICONFLOW_API_KEY"),
    _hosted("novita", "Novita", "https://api.novita.ai/openai/v1", "NOVITA_API_KEY"),
    _hosted("nebius", "Nebius", "https://api.tokenfactory.nebius.com/v1", "NEBIUS_API_KEY"),
    _hosted("chutes", "Chutes", "https://llm.chutes.ai/v1", "CHUTES_API_KEY"),
    _hosted("baseten", "Baseten", "https://inference.baseten.co/v1", "BASETEN_API_KEY"),
    _hosted("huggingface", "Hugging Face", "https://router.huggingface.co/v1", "HF_TOKEN"),
    _hosted("friendli", "Friendli", "https://api.friendli.ai/serverless/v1", "FRIENDLI_TOKEN"),
    _hosted("venice", "Venice", "https://api.venice.ai/api/v1", "VENICE_API_KEY"),
    # Not `GITHUB_TOKEN`: it lies about in every CI job, and nobody means to sell inference with it.
    _hosted("github-models", "GitHub Models", "https://models.github.ai/inference", "GITHUB_MODELS_TOKEN"),
    # Other gateways.
    _hosted(
        "openrouter",
        "OpenRouter",
        "https://openrouter.ai/api/v1",
        "OPENROUTER_API_KEY",
        is_stream_usage_on_request=False,
        are_ids_canonical=True,
    ),
    _hosted(
        "gaterouter",
        "GateRouter",
        "https://api.gaterouter.ai/openai/v1",
        "GATEROUTER_API_KEY",
        "MEGAROUTER_API_KEY",
        are_ids_canonical=True,
    ),
    _hosted("vercel", "Vercel AI Gateway", "https://ai-gateway.vercel.sh/v1", "AI_GATEWAY_API_KEY"),
    # Where only the operator knows the address.
    BuiltinProvider(
        slug="azure",
        name="Azure OpenAI",
        base_url=None,
        key_variables=("AZURE_OPENAI_API_KEY",),
        base_url_variable="AZURE_OPENAI_ENDPOINT",
        authors=("openai",),
        root_path="/openai/v1",
        auth_header="api-key",
        is_discoverable=False,
    ),
    _local("vllm", "vLLM"),
    _local("ollama", "Ollama"),
    _local("llamacpp", "llama.cpp"),
    _local("sglang", "SGLang"),
    _local("lmstudio", "LM Studio"),
)

BY_SLUG: Mapping[str, BuiltinProvider] = MappingProxyType({builtin.slug: builtin for builtin in BUILTIN})


_OPERATIONS = ("/chat/completions", "/completions", "/messages", "/responses", "/embeddings", "/models")


def normalize_base_url(root: str, root_path: str = "/v1") -> str:
    """The base URL meant by an operator's `root`, without a trailing slash.

    A root without a path gets `root_path` (`BuiltinProvider.root_path`): both `http://localhost:11434` and
    `http://localhost:11434/v1/` mean `http://localhost:11434/v1`. Raises ValueError with the reason, which does not
    repeat the text, since that may hold a password.
    """
    text = root.strip()
    parts = _split(text)
    if "@" in parts.netloc:
        raise ValueError("has a user name or password; put the key into a setting of its own")
    if "?" in text or "#" in text:
        raise ValueError("has a query or a fragment; give the address only")
    path = parts.path.rstrip("/")
    for operation in _OPERATIONS:
        if path.endswith(operation):
            raise ValueError(f"names one operation; leave off {operation}")
    return f"{parts.scheme}://{parts.netloc}{path or root_path}"


def _split(text: str) -> SplitResult:
    remedy = "write it like http://localhost:8000/v1"
    if not text or any(c.isspace() or not c.isprintable() for c in text):
        raise ValueError(f"is not a URL; {remedy}")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError(f"is not a URL; {remedy}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ValueError(f"is not an http or https URL; {remedy}")
    return parts
