"""Settings: read once, converted, checked, and handed on as one frozen value. The only reader of the environment.

table.py      every setting: variable, default, meaning, kind
kinds.py      what the text of a setting may be
sources.py    flags, environment, `.env`, TOML file, `NAME_FILE`: texts by variable
reading.py    find, convert, remember the origin, note what is wrong
providers.py  vendors' keys and the FAIRLEAD_PROVIDERS__ tree, whose members are in members.py
names.py      names that no setting has
load.py       all of that together: sources in, settings out
settings.py   the typed result; secret.py: text that does not print
checks.py     questions about the settings as a whole
report.py     the effective configuration, with sources
"""

from fairlead.config.checks import is_demo_on, is_loopback, refuse_open_listener
from fairlead.config.load import Loaded, load, load_process, notify_socket, program_path, watchdog_s
from fairlead.config.members import MEMBERS
from fairlead.config.reading import Origin
from fairlead.config.report import as_json, as_text, effective
from fairlead.config.secret import Secret, SecretUrl
from fairlead.config.settings import ProviderSettings, ProxySettings, Settings
from fairlead.config.table import GROUPS, SETTINGS, Setting

__all__ = [
    "GROUPS",
    "MEMBERS",
    "SETTINGS",
    "Loaded",
    "Origin",
    "ProviderSettings",
    "ProxySettings",
    "Secret",
    "SecretUrl",
    "Setting",
    "Settings",
    "as_json",
    "as_text",
    "effective",
    "is_demo_on",
    "is_loopback",
    "load",
    "load_process",
    "notify_socket",
    "program_path",
    "refuse_open_listener",
    "watchdog_s",
]
