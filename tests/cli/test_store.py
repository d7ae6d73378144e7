import pytest

from fairlead.store.embedded import EmbeddedStore


def test_one_that_is_started_for_the_moment_keeps_what_it_was_told(fairlead, tmp_path):
    assert fairlead("keys", "create", "--name", "one").returncode == 0
    assert fairlead("keys", "list").stdout.endswith(" one\n")
    store = EmbeddedStore(tmp_path / "data")
    store.start()  # nobody has it any more
    store.stop()


def test_that_of_a_running_gateway_is_used(fairlead, kept_store):
    fairlead("keys", "create", "--name", "one")
    assert kept_store.how_it_ended() is None
    named = fairlead("keys", "list", FAIRLEAD_REDIS_URL=kept_store.url, FAIRLEAD_DATA_DIR="elsewhere")
    assert named.stdout.endswith(" one\n")


@pytest.mark.parametrize("arguments", [["list"], ["create"], ["show", "web"], ["delete", "web"]], ids=" ".join)
def test_one_that_is_away(fairlead, arguments):
    done = fairlead("keys", *arguments, FAIRLEAD_REDIS_URL="unix:///nonexistent.sock")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("fairlead: the store cannot be reached: ")
    assert len(done.stderr.splitlines()) == 1
