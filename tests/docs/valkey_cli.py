"""As much of valkey-cli as the pages use, since the wheel of Valkey has only the server: `-s` or `-u`, a command."""

import sys

from redis import Redis


def main(option, place, *words):
    client = Redis(unix_socket_path=place) if option == "-s" else Redis.from_url(place)
    with client:
        client.response_callbacks.clear()  # as it came
        answer = client.execute_command(*words)
    print(answer.decode() if isinstance(answer, bytes) else answer)  # noqa: T201 - a program


if __name__ == "__main__":
    main(*sys.argv[1:])
