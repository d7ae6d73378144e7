"""The tables of settings, and `.env.example`, as they follow from the table in the code."""

import re

from fairlead.config import GROUPS, MEMBERS


def default_cell(setting):
    return f"`{setting.default}`" if setting.is_literal else setting.default.strip("()")


def settings_table():
    lines = ["| variable | default | meaning |", "|---|---|---|"]
    for title, group in GROUPS:
        lines.append(f"| **{title}** | | |")
        for setting in group:
            names = ", ".join(f"`{name}`" for name in (setting.variable, *setting.aliases))
            lines.append(f"| {names} | {default_cell(setting)} | {setting.meaning} |")
    return "\n".join(lines)


def members_table():
    lines = ["| member | default | meaning |", "|---|---|---|"]
    lines += [f"| `{member.variable}` | {default_cell(member)} | {member.meaning} |" for member in MEMBERS]
    lines.append("| `HEADERS__<NAME>` | none | A header sent with every request: `HEADERS__X_TEAM` is `x-team` |")
    return "\n".join(lines)


TABLES = {"settings": settings_table, "members": members_table}
"""By the name that stands in `<!-- made: name -->` before a table and `<!-- end -->` behind it."""


def page(text):
    """Return a page with its tables made anew."""
    for name, table in TABLES.items():
        place = re.compile(rf"(<!-- made: {name} -->\n).*?(\n<!-- end -->)", re.DOTALL)
        text = place.sub(lambda match, table=table: f"{match[1]}{table()}{match[2]}", text)
    return text


def env_example(text):
    """Return `.env.example` with what it says of each setting made anew, where that is no longer so."""
    head, *sections = re.split(r"^(?=# --- )", text, flags=re.MULTILINE)
    said = {
        match[1]: block.strip("\n")
        for section in sections
        for block in section.split("\n\n")
        if (match := re.search(r"^#(\w+)=", block, re.MULTILINE))
    }
    titles = [title for title, _ in GROUPS]
    rest = [section for section in sections if re.match(r"# --- (.*) ---", section)[1] not in titles]
    made = [
        "\n\n".join([f"# --- {title} ---", *(_example(setting, said.get(setting.variable, "")) for setting in group)])
        for title, group in GROUPS
    ]
    return head + "\n\n".join(made) + "\n\n" + "".join(rest)


def _example(setting, said):
    value = setting.default if setting.is_literal else ""
    line = f"#{setting.variable}={value}"
    if setting.meaning in said and said.endswith(line):
        return said
    notes = [] if setting.is_literal else [f"default: {setting.default.strip('()')}"]
    notes += [f"also read from {alias}" for alias in setting.aliases]
    note = f" ({'; '.join(notes)})" if notes else ""
    return f"# {setting.meaning}{note}\n{line}"
