"""The gateway that TensorZero's package has inside, alone in a process of its own, until SIGTERM.

Run by the Python of that environment. The package has no program that starts its server, but the function behind its
`patch_openai_client` does: the server is theirs, in Rust, on a port of its own choice, and Python only waits.
"""

import signal
import sys

from tensorzero.tensorzero import _start_http_gateway


def main() -> None:
    """Start it with the configuration file that is named, and say where it listens."""
    gateway = _start_http_gateway(
        config_file=sys.argv[1], clickhouse_url=None, postgres_url=None, valkey_url=None, async_setup=False
    )
    print(f"listening at {gateway.base_url}", flush=True)
    signal.pause()


if __name__ == "__main__":
    main()
