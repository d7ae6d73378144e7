import pytest

LINKS = {
    "FAIRLEAD_SERVICE_HOST": "10.0.0.1",
    "FAIRLEAD_SERVICE_PORT": "8420",
    "FAIRLEAD_SERVICE_PORT_HTTP": "8420",
    "FAIRLEAD_PORT": "tcp://10.0.0.1:8420",
    "FAIRLEAD_PORT_8420_TCP": "tcp://10.0.0.1:8420",
    "FAIRLEAD_PORT_8420_TCP_PROTO": "tcp",
    "FAIRLEAD_PORT_8420_TCP_PORT": "8420",
    "FAIRLEAD_PORT_8420_TCP_ADDR": "10.0.0.1",
    "FAIRLEAD_REDIS_SERVICE_HOST": "10.0.0.2",
    "FAIRLEAD_REDIS_PORT": "tcp://10.0.0.2:6379",
    "FAIRLEAD_REDIS_PORT_6379_TCP_ADDR": "10.0.0.2",
}


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("FAIRLEAD_PROT", "FAIRLEAD_PORT"),
        ("FAIRLEAD_LOGLEVEL", "FAIRLEAD_LOG_LEVEL"),
        ("FAIRLEAD_log_level", "FAIRLEAD_LOG_LEVEL"),
        ("FAIRLEAD_TIMEOUT_FIRST_BYTES_S", "FAIRLEAD_TIMEOUT_FIRST_BYTE_S"),
        ("FAIRLEAD_CONFIG_FILE", "FAIRLEAD_CONFIG"),
        ("FAIRLEAD_OPENAI_API_KEY", "OPENAI_API_KEY"),
        ("FAIRLEAD_PROVIDERS__LAB__BASEURL", "FAIRLEAD_PROVIDERS__LAB__BASE_URL"),
        ("FAIRLEAD_PROVIDER__LAB__BASE_URL", "FAIRLEAD_PROVIDERS__LAB__BASE_URL"),
        ("FAIRLEAD_PROVIDERS__lab__BASE_URL", "FAIRLEAD_PROVIDERS__LAB__BASE_URL"),
    ],
)
@pytest.mark.parametrize("source", ["environment", ".env", "flag"])
def test_a_typing_error_is_told_with_what_was_meant(refused, name, meant, source):
    options = {
        "environment": {"environ": {name: "1"}},
        ".env": {"dotenv": f"{name}=1"},
        "flag": {"overrides": {name: "1"}},
    }[source]
    assert refused(**options) == [f"{name} ({source}): no such setting; did you mean {meant}?"]


def test_also_in_the_toml_file(refused):
    assert refused(toml="prot = 1") == [
        "FAIRLEAD_PROT (FAIRLEAD_CONFIG file): no such setting; did you mean FAIRLEAD_PORT?"
    ]


@pytest.mark.parametrize(
    "name",
    ["FAIRLEAD_", "FAIRLEAD_XYZZY", "FAIRLEAD_TEST_MODE", "FAIRLEAD_PROVIDERS__", "FAIRLEAD_PROVIDERS__A____BASE_URL"],
)
def test_there_are_no_exceptions(refused, name):
    (line,) = refused({name: "hunter2"})
    assert line.startswith(f"{name} (environment): no such setting; ")
    assert "hunter2" not in line  # it may have been meant for a secret


def test_names_of_others_are_none_of_ours(configure):
    configure({"FAIRLEADER": "1", "OPENAI_API_KEYS": "x", "fairlead_port": "x"})


def test_what_kubernetes_adds_for_services_is_passed_over(configure):
    assert configure(LINKS).settings.port == 8420
    assert configure(LINKS | {"PORT": "9000"}).settings.port == 9000


def test_but_only_what_kubernetes_can_add(refused):
    assert len(refused({"FAIRLEAD_PORT": "http://10.0.0.1:8420", "FAIRLEAD_REDIS_PORT": "6379"})) == 2
    assert len(refused(dotenv="FAIRLEAD_SERVICE_HOST=10.0.0.1")) == 1
