"""Simulated model providers: a real HTTP/1.1 server that answers as OpenAI's chat API does, and fails as it is told.

    intake       bytes in, whole requests out
    answer       what is replied: chat (the request), prose (the text), shapes (the JSON), personality (whose)
    performance  when which of its bytes are written, and how that ends
    connection   writes them
    server       all of it on a socket (door), with what it saw (record) and how it is told (script, control)

It serves the demo, the tests and the benchmarks, and imports nothing else of fairlead.
"""

from fairlead.demo.intake import ReceivedRequest
from fairlead.demo.personality import DEMO_PROVIDERS, DemoModel, Personality
from fairlead.demo.run import run_demo
from fairlead.demo.script import Script, parse_script
from fairlead.demo.server import Simulator

__all__ = [
    "DEMO_PROVIDERS",
    "DemoModel",
    "Personality",
    "ReceivedRequest",
    "Script",
    "Simulator",
    "parse_script",
    "run_demo",
]
