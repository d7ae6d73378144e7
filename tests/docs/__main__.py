"""`make docs`: write anew what the pages take from the code.

PYTHONPATH=tests python -m docs
"""

from docs import breaker, routing
from docs.pages import ROOT
from docs.settings import env_example, page

MADE = {
    "src/fairlead/config/README.md": page,
    ".env.example": env_example,
    "src/fairlead/plan/routing.svg": routing.picture,
    "src/fairlead/plan/breaker.svg": breaker.picture,
}
"""Each file with what makes it of itself as it was."""


def main():
    for name, made in MADE.items():
        path = ROOT / name
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        if (after := made(before)) != before:
            path.write_text(after, encoding="utf-8")
            print(name)  # noqa: T201 - a program


if __name__ == "__main__":
    main()
