"""For providers' faults: one gateway in front of a provider for each of them and way of asking, so that what one does
spoils nothing for the next. For faults of stores and processes: gateways in front of two providers.
"""

import contextlib
import datetime
import ssl
import warnings

import pytest
import trustme

from fairlead.catalog.model import Timeouts
from fairlead.drill.faults import FAULTS, GOOD_TEXT, WAYS, Tls
from harness.process import GatewayProcess
from harness.simulators import Simulators

from .rig import environment

KEY = "sk-faults-client-5d1c7be2a4"
YEAR = datetime.timedelta(days=365)
QUICK = {"text": GOOD_TEXT, "first_byte_delay_s": 0.01, "token_delay_s": 0.001}


def slug_of(number, way):
    return f"f{number}w{WAYS.index(way)}"


ROWS = {slug_of(number, way): (fault, way) for number, fault in enumerate(FAULTS) for way in WAYS}


def other_of(slug):
    """Who is behind a faulty provider: the good one, or another with the same fault."""
    return f"{slug}o" if ROWS[slug][0].is_everywhere else "good"


@pytest.fixture(scope="session")
def authority():
    """The one that the gateway trusts."""
    return trustme.CA()


@pytest.fixture(scope="session")
def contexts(authority):
    """The TLS side of a provider, by what is wrong with its certificate."""
    now = datetime.datetime.now(datetime.UTC)
    certificates = {
        Tls.EXPIRED: authority.issue_cert("127.0.0.1", not_before=now - 2 * YEAR, not_after=now - YEAR),
        Tls.UNKNOWN: trustme.CA().issue_cert("127.0.0.1"),
        Tls.OTHER_NAME: authority.issue_cert("example.com", "10.0.0.1"),
        Tls.OLD: authority.issue_cert("127.0.0.1"),
    }
    made = {}
    for tls, certificate in certificates.items():
        made[tls] = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        certificate.configure_cert(made[tls])
    made[Tls.OLD].set_ciphers("ALL:@SECLEVEL=0")  # or it could not speak any version at all
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        made[Tls.OLD].minimum_version = ssl.TLSVersion.TLSv1
        made[Tls.OLD].maximum_version = ssl.TLSVersion.TLSv1_1
    return made


@pytest.fixture(scope="session")
def upstreams(contexts):
    """The providers, by slug."""
    with Simulators() as simulators:
        found = {"good": simulators.start(keep_requests=100_000)}
        found["good"].does(text=GOOD_TEXT)
        for slug, (fault, way) in ROWS.items():
            for each in {slug, other_of(slug)} - {"good"}:
                found[each] = simulators.start(ssl=contexts.get(fault.tls))
                found[each].plays(fault.played(Timeouts(**fault.limits), way))
        yield found


@pytest.fixture(scope="session")
def gateways(upstreams, authority, tmp_path_factory):
    """By what FAIRLEAD_FALLBACK_ON_CONTENT_FILTER is set to: most rows are asked of that with the default."""
    with contextlib.ExitStack() as started:
        yield {
            is_on: started.enter_context(
                GatewayProcess(
                    directory := tmp_path_factory.mktemp("faults"),
                    environment_for(upstreams, authority, directory, is_on),
                )
            )
            for is_on in (False, True)
        }


def environment_for(upstreams, authority, directory, is_on):
    authority.cert_pem.write_to_path(directory / "authority.pem")
    env = {
        "FAIRLEAD_WORKERS": "1",
        "FAIRLEAD_LOG_FORMAT": "json",
        "FAIRLEAD_API_KEYS": KEY,
        "SSL_CERT_FILE": str(directory / "authority.pem"),
        "FAIRLEAD_FALLBACK_ON_CONTENT_FILTER": "on" if is_on else "off",
    }

    def declare(slug, **members):
        members = {"api_key": f"sk-faults-upstream-{slug}", "price_prompt": 1, "price_completion": 2, **members}
        env.update({f"FAIRLEAD_PROVIDERS__{slug.upper()}__{name.upper()}": str(it) for name, it in members.items()})

    for slug, (fault, _) in ROWS.items():
        limits = {f"timeout_{name}": seconds for name, seconds in fault.limits.items()}
        for each in {slug, other_of(slug)} - {"good"}:
            base_url = upstreams[each].base_url
            if fault.is_nowhere:
                base_url = "http://nobody.invalid/v1"
            elif fault.tls is not Tls.NONE:
                base_url = f"https:{base_url.partition(':')[2]}"
            declare(each, base_url=base_url, models=f"fault/{slug}={each}", **limits)
    models = ",".join(f"fault/{slug}=good-{slug}" for slug in ["none", *ROWS])
    declare("good", base_url=upstreams["good"].base_url, models=models)
    return env


@pytest.fixture(scope="session")
def providers():
    """One that is quick and well, and one that always fails."""
    with Simulators() as simulators:
        lab, shaky = simulators.start(), simulators.start()
        lab.does(**QUICK)
        shaky.does(status=500)
        yield lab, shaky


@pytest.fixture
def new_gateway(providers, tmp_path):
    """Makes gateways of a test's own; all of a test are one installation, unless they are told another directory."""
    with contextlib.ExitStack() as made:

        def make(directory=tmp_path, **variables):
            gateway = GatewayProcess(directory, environment(*providers, **variables))
            made.push(gateway)
            return gateway

        yield make
