"""fairlead: the self-hosted OpenRouter. One URL and one key in front of every model provider."""

__version__ = "0.1.0"
