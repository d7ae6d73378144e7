"""`llm` with its plugin for OpenRouter, whose address is written into it: the requests for that host go to ours."""

import contextlib
import json

import httpx
import httpx2
import llm
from answering import QUESTION, answer

THEIR_HOST = "openrouter.ai"


def _rerouted(base_url):
    """Stands for an entry in the name server; the path is the same at both. The plugin uses httpx, openai httpx2."""
    ours = httpx.URL(base_url)
    undo = contextlib.ExitStack()
    for transport in (httpx.HTTPTransport, httpx2.HTTPTransport):
        undo.callback(setattr, transport, "handle_request", transport.handle_request)
        transport.handle_request = _sending_to(ours, transport.handle_request)
    return undo


def _sending_to(ours, send):
    def handle_request(transport, request):
        if request.url.host == THEIR_HOST:
            request.url = request.url.copy_with(scheme=ours.scheme, host=ours.host, port=ours.port)
        return send(transport, request)

    return handle_request


def models(asked, _):
    """What the plugin registers. It fetches the list once there is a key, but does not send it."""
    llm.user_dir().joinpath("openrouter_models.json").unlink(missing_ok=True)
    llm.user_dir().joinpath("keys.json").write_text(json.dumps({"openrouter": asked["key"]}))
    with _rerouted(asked["base_url"]):
        registered = [model for model in llm.get_models() if model.model_id.startswith("openrouter/")]
    return {
        "ids": [model.model_name for model in registered],
        "with_tools": [model.model_name for model in registered if model.supports_tools],
    }


def plain(asked, _):
    models(asked, None)
    with _rerouted(asked["base_url"]):
        return {"text": llm.get_model(f"openrouter/{asked['model']}").prompt(QUESTION, stream=False).text()}


answer({"plain": plain, "models": models})
