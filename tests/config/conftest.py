import pytest

from fairlead.config import load
from fairlead.errors import ConfigError


@pytest.fixture
def configure(tmp_path):
    """Load settings in a directory of their own, from given variables, `.env` text and TOML text."""

    def configure(environ=None, *, dotenv=None, toml=None, **options):
        environ = {"HOME": str(tmp_path / "home")} | (environ or {})
        if dotenv is not None:
            (tmp_path / ".env").write_text(dotenv, encoding="utf-8")
        if toml is not None:
            (tmp_path / "fairlead.toml").write_text(toml, encoding="utf-8")
            environ = {"FAIRLEAD_CONFIG": "fairlead.toml"} | environ
        return load(environ, **({"cwd": tmp_path, "is_terminal": False, "cpu_count": 2} | options))

    return configure


@pytest.fixture
def refused(configure):
    """Like `configure`, for settings that are wrong: the lines of the error."""

    def refused(*args, **options):
        with pytest.raises(ConfigError) as caught:
            configure(*args, **options)
        return str(caught.value).split("\n")

    return refused
