"""From sources to settings, all that is wrong told at once."""

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from msgspec import Struct

from fairlead.catalog.model import Timeouts
from fairlead.config.checks import is_ourselves
from fairlead.config.kinds import PATH, is_http
from fairlead.config.names import unknown_names, without_service_links
from fairlead.config.providers import base_url_variable, names_near, read_providers, split_name, vendor_variables
from fairlead.config.reading import Origin, Reader
from fairlead.config.settings import ProxySettings, Settings
from fairlead.config.sources import printable, read_sources
from fairlead.config.table import SETTINGS, Setting
from fairlead.errors import ConfigError

_EXISTING = ("catalog", "ssl_cert_file")
"""Files that have to be there. FAIRLEAD_CONFIG is not among them: it has been read by then, or told about."""
_TIMEOUTS = ("connect_s", "first_byte_s", "idle_s", "total_s")
_KNOWN = frozenset(
    name
    for setting in SETTINGS
    for name in (setting.variable, *([f"{setting.variable}_FILE"] if setting.is_file_allowed else []))
)


class Loaded(Struct, frozen=True, kw_only=True):
    """The settings and where each came from."""

    settings: Settings
    origins: Mapping[str, Origin]
    """By variable: every setting in the order of the table, then the variables of providers that are set."""


def load_process(overrides: Mapping[str, str] | None = None) -> Loaded:
    """Load what this process was started with. `overrides` are flags, by the variable they stand for."""
    return load(
        os.environ,  # noqa: TID251 - this is the door
        cwd=Path.cwd(),
        is_terminal=sys.stdout.isatty(),
        cpu_count=_cpu_count(),
        overrides=overrides or {},
    )


def _cpu_count() -> int:
    """CPUs that this process may run on; a container's quota is not looked at."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux has it
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def load(
    environ: Mapping[str, str],
    *,
    cwd: Path,
    is_terminal: bool,
    cpu_count: int,
    overrides: Mapping[str, str] | None = None,
) -> Loaded:
    """Settings from flags, `environ`, `.env` in `cwd`, the file of FAIRLEAD_CONFIG and defaults, in this order.

    Raises ConfigError with one line for each thing that is wrong: variable, value, where it stood, what to do.
    """
    reader = Reader(read_sources(without_service_links(environ), overrides or {}, cwd))
    defaults = _defaults(environ, is_terminal, cpu_count)
    settings = _settings(reader, defaults | _values(reader))
    _check_together(reader, settings)
    problems = reader.sources.problems + unknown_names(reader.sources.layers, _is_known, _candidates)
    if problems:
        raise ConfigError("\n".join(problems))
    origins = {
        setting.variable: reader.origins.get(setting.variable) or Origin(_default_shown(setting, defaults), "default")
        for setting in SETTINGS
    }
    return Loaded(settings=settings, origins=origins | reader.origins)


def _defaults(environ: Mapping[str, str], is_terminal: bool, cpu_count: int) -> dict[str, Any]:
    """The defaults that depend on where we run; the others stand in `Settings`."""
    values: dict[str, Any] = {"workers": max(cpu_count, 1), "data_dir": _state_dir(environ) / "fairlead"}
    if is_terminal:
        # Nobody balances load to a terminal, and who presses Ctrl-C wants it to end.
        values |= {"drain_delay_s": 0.0, "drain_timeout_s": 2.0}
    return values


def _state_dir(environ: Mapping[str, str]) -> Path:
    """Source: XDG Base Directory Specification 0.8; without a home, as in a system service, the FHS has /var/lib."""
    if (state := Path(environ.get("XDG_STATE_HOME", ""))).is_absolute():
        return state
    if (home := Path(environ.get("HOME", ""))).is_absolute():
        return home / ".local" / "state"
    return Path("/var/lib")


def _default_shown(setting: Setting, defaults: Mapping[str, Any]) -> str:
    if (value := defaults.get(setting.field)) is not None:
        return f"{value:g}" if isinstance(value, float) else str(value)
    return setting.default.strip("()")


def _values(reader: Reader) -> dict[str, Any]:
    """What the sources say, by the name of the field; only what is set and good."""
    values: dict[str, Any] = {}
    for setting in SETTINGS:
        value = reader.read(
            setting.variable,
            setting.kind,
            example=setting.example,
            aliases=setting.aliases,
            is_file_allowed=setting.is_file_allowed,
        )
        if value is not None:
            values[setting.field] = _place(reader, setting, value) if setting.kind is PATH else value
    return values


def _place(reader: Reader, setting: Setting, text: Path) -> Path:
    """The absolute path, checked as far as it can be before it is used."""
    path = reader.sources.path(str(text))
    told = reader.told(setting.variable)
    if setting.field in _EXISTING and not os.path.isfile(path):
        reader.problem(f"{told}: no such file; correct the path or remove the setting")
    if setting.field == "data_dir" and os.path.exists(path) and not os.path.isdir(path):
        reader.problem(f"{told}: not a directory; name one, or a path that is not in use")
    reader.origins[setting.variable] = replace(reader.origins[setting.variable], value=printable(str(path)))
    return path


def _settings(reader: Reader, values: dict[str, Any]) -> Settings:
    """The tree. What was wrong has its default here, since nobody will see it."""
    limits = {name: values.pop(f"timeout_{name}") for name in _TIMEOUTS if f"timeout_{name}" in values}
    timeouts = Timeouts(**limits)
    providers, providers_off = read_providers(reader, timeouts)
    is_plain, is_forced = values.pop("no_color", False), values.pop("force_color", False)
    return Settings(
        timeouts=timeouts,
        proxy=_proxy(reader, values),
        color="never" if is_plain else "always" if is_forced else "auto",
        providers=providers,
        providers_off=providers_off,
        **values,
    )


def _proxy(reader: Reader, values: dict[str, Any]) -> ProxySettings:
    http, https, fallback = (values.pop(name, None) for name in ("http_proxy", "https_proxy", "all_proxy"))
    if fallback is not None and None in (http, https) and not is_http(fallback):
        reader.problem(
            f"{reader.told('ALL_PROXY')}: only proxies spoken to by plain HTTP (CONNECT) are supported; "
            "set HTTPS_PROXY and HTTP_PROXY to one, or unset ALL_PROXY"
        )
    return ProxySettings(http=http or fallback, https=https or fallback, no_proxy=values.pop("no_proxy", ()))


def _check_together(reader: Reader, settings: Settings) -> None:
    """Values that are good alone and not beside each other."""
    pair = ("FAIRLEAD_PROBE_MIN_S", "FAIRLEAD_PROBE_MAX_S")
    if settings.probe_min_s > settings.probe_max_s and reader.wrong.isdisjoint(pair):
        low, high = (reader.told(variable) for variable in pair)
        reader.problem(
            f"{low}: more than {high}; the first must be the smaller, for example {pair[0]}=1 and {pair[1]}=60"
        )
    for provider in settings.providers:
        if is_ourselves(settings, provider):
            reader.problem(
                f"{reader.told(base_url_variable(reader, provider.provider.slug))}: this is fairlead's own address; "
                "give the provider's, or unset the variable where fairlead is started"
            )


def _is_known(variable: str) -> bool:
    return variable in _KNOWN or split_name(variable) is not None


def _candidates(variable: str) -> Iterator[str]:
    yield from (setting.variable for setting in SETTINGS)
    yield from vendor_variables()
    yield from names_near(variable)


def notify_socket() -> str | None:
    """Where systemd wants to be told of our state (`NOTIFY_SOCKET`, sd_notify(3)); None when it does not run us."""
    return os.environ.get("NOTIFY_SOCKET") or None  # noqa: TID251 - this is the door


def program_path() -> str:
    """Where programs are looked for (`PATH`): for a child that is to have nothing else of our environment."""
    return os.environ.get("PATH", os.defpath)  # noqa: TID251 - this is the door


def watchdog_s() -> float | None:
    """Within how many seconds systemd wants a sign of life (`WATCHDOG_USEC`, sd_watchdog_enabled(3)); None: never.

    `WATCHDOG_PID` says whom it wants it from: children inherit both.
    """
    environ = os.environ  # noqa: TID251 - this is the door
    micros, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID") or str(os.getpid())
    return int(micros) / 1e6 if micros.isdecimal() and int(micros) and pid == str(os.getpid()) else None
