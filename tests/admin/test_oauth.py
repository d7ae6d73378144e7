import asyncio

import pytest

from fairlead.access.keys import is_well_formed, key_hash
from fairlead.access.pkce import code_hash, new_code
from fairlead.store.oauth import REMEMBERED_S

from .apps import ADMIN_KEY, CALLBACK, CHALLENGE, VERIFIER, apps

pytestmark = pytest.mark.anyio

AWAY = "unix:///nonexistent.sock"


@pytest.fixture
async def it(redis_url):
    async with apps(redis_url) as it:
        yield it


async def code_for(it, **members):
    answer = await it.begin(**members)
    assert answer.status == 200, answer.text
    return answer.json["data"]["id"]


async def made(it):
    return [key for key in await it.keys.list() if key.creator.startswith("oauth:")]


class TestBegin:
    async def test_it_answers_with_a_code(self, it):
        answer = await it.begin(code_challenge=CHALLENGE, code_challenge_method="S256")
        assert (answer.status, answer.headers["cache-control"]) == (200, "no-store")
        data = answer.json["data"]
        assert data.keys() == {"id", "app_id", "created_at"}
        assert data["id"].startswith("fl-code-")
        assert isinstance(data["app_id"], int)
        assert data["created_at"].endswith("Z")

    async def test_an_app_keeps_its_number(self, it):
        numbers = [
            (await it.begin(callback_url=url)).json["data"]["app_id"]
            for url in (CALLBACK, "https://app.example:8443/", "https://other.example/")
        ]
        assert numbers[0] == numbers[1] != numbers[2]

    async def test_a_management_key_will_do_an_inference_key_would_rid_itself_of_its_limits(self, it):
        assert (await it.begin(key=await it.new_key(is_management=True))).status == 200
        for key, status in ((await it.new_key(), 403), ("guess", 401), (ADMIN_KEY[:-1], 401)):
            answer = await it.begin(key=key)
            assert answer.status == status
            assert "send a management key" in answer.json["error"]["message"]
        assert (await it.ask("POST", "/v1/auth/keys/code", {"callback_url": CALLBACK})).status == 401

    @pytest.mark.parametrize(
        ("members", "param"),
        [
            ({"callback_url": None}, "callback_url"),
            ({"callback_url": ""}, "callback_url"),
            ({"callback_url": "http://app.example/"}, "callback_url"),
            ({"callback_url": 5}, "callback_url"),
            ({"code_challenge": "x"}, "code_challenge"),
            ({"code_challenge": CHALLENGE, "code_challenge_method": "MD5"}, "code_challenge_method"),
            ({"key_label": "x" * 101}, "key_label"),
            ({"limit": -1}, "limit"),
            ({"usage_limit_type": "yearly"}, "usage_limit_type"),
            ({"expires_at": "2001-01-01T00:00:00Z"}, "expires_at"),
        ],
        ids=str,
    )
    async def test_nonsense_is_refused_and_named(self, it, members, param):
        answer = await it.begin(**members)
        assert (answer.status, answer.json["error"]["param"]) == (400, param)
        assert param in answer.json["error"]["message"]

    @pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b'"x"'], ids=repr)
    async def test_a_body_that_is_no_object_is_refused(self, it, body):
        for path in ("/v1/auth/keys", "/v1/auth/keys/code"):
            assert (await it.ask("POST", path, body, f"authorization: Bearer {ADMIN_KEY}")).status == 400

    async def test_a_code_that_exists_already_is_a_conflict(self, it, monkeypatch):
        code = new_code()
        monkeypatch.setattr("fairlead.admin.oauth.new_code", lambda: code)
        assert (await it.begin()).status == 200
        assert (await it.begin()).status == 409

    async def test_who_approved_is_in_the_log_and_the_code_is_not(self, it):
        key = await it.new_key(is_management=True)
        code = await code_for(it, key=key, key_label="Notebook")
        await code_for(it)
        assert it.log.entries == [
            ("code made for an app", {"origin": "https://app.example:8443", "name": "Notebook", "by": hash_of(key)}),
            ("code made for an app", {"origin": "https://app.example:8443", "name": "", "by": "admin"}),
        ]
        assert code not in str(it.log.entries)


def hash_of(token):
    return key_hash(token.encode())


class TestFinish:
    async def test_code_and_verifier_become_a_key(self, it):
        code = await code_for(
            it,
            code_challenge=CHALLENGE,
            code_challenge_method="S256",
            key_label="Notebook",
            limit=12.5,
            usage_limit_type="monthly",
            expires_at="2099-01-01T00:00:00Z",
        )
        answer = await it.finish(code, code_verifier=VERIFIER, code_challenge_method="S256")
        assert (answer.status, answer.headers["cache-control"]) == (200, "no-store")
        assert answer.json.keys() == {"key", "user_id"}
        token = answer.json["key"]
        assert is_well_formed(token.encode())
        (key,) = await made(it)
        assert (key.hash, key.name, key.creator) == (hash_of(token), "Notebook", "oauth:https://app.example:8443")
        assert (key.limit_usd_nanos, key.limit_reset, key.expires) == (12_500_000_000, "monthly", 4_070_908_800)
        assert not key.is_management
        assert answer.json["user_id"] is None
        assert it.log.entries[-1] == (
            "key made for an app",
            {"key": key.label, "name": "Notebook", "creator": "oauth:https://app.example:8443"},
        )
        for secret in (token, code, VERIFIER):
            assert secret not in await it.stored()
            assert secret not in str(it.log.entries)

    async def test_a_plain_challenge_and_none_at_all(self, it):
        plain = await code_for(it, code_challenge=VERIFIER, code_challenge_method="plain")
        assert (await it.finish(plain, code_verifier=VERIFIER)).status == 200
        assert (await it.finish(await code_for(it))).status == 200
        assert len(await made(it)) == 2

    async def test_a_code_works_once_even_for_many_at_once(self, it):
        code = await code_for(it)
        answers = await asyncio.gather(*(it.finish(code) for _ in range(8)))
        assert sorted(answer.status for answer in answers) == [200] + [403] * 7
        assert len(await made(it)) == 1

    @pytest.mark.parametrize("proof", [{"code_verifier": VERIFIER[::-1]}, {}, {"code_verifier": None}], ids=str)
    async def test_without_the_verifier_it_is_spent_for_nothing(self, it, proof):
        code = await code_for(it, code_challenge=CHALLENGE, code_challenge_method="S256")
        for members in (proof, {"code_verifier": VERIFIER}):
            answer = await it.finish(code, **members)
            assert answer.status == 403
            assert answer.json["error"]["message"] == "Invalid code or code_verifier"
            assert answer.json["error"]["metadata"]["error_type"] == "permission_denied"
        assert not await made(it)

    @pytest.mark.parametrize("code", ["guess", new_code(), "fl-code-", "ü", "x" * 10_000], ids=len)
    async def test_an_unknown_code_is_refused_alike(self, it, code):
        answer = await it.finish(code)
        assert (answer.status, answer.json["error"]["message"]) == (403, "Invalid code or code_verifier")

    async def test_a_code_that_is_too_old_is_told_so(self, it):
        code = await code_for(it)
        await it.client.expire(f"fl:1:oauth:code:{{{code_hash(code)}}}", REMEMBERED_S)
        answer = await it.finish(code)
        assert (answer.status, answer.json["error"]["message"]) == (403, "Authorization code expired")
        assert not await made(it)

    async def test_a_strange_method_is_refused_and_costs_nothing(self, it):
        code = await code_for(it, code_challenge=CHALLENGE, code_challenge_method="S256")
        answer = await it.finish(code, code_verifier=VERIFIER, code_challenge_method="MD5")
        assert (answer.status, answer.json["error"]["message"]) == (400, "Invalid code_challenge_method")
        assert (await it.finish(code, code_verifier=VERIFIER)).status == 200

    async def test_another_method_than_announced_is_a_try(self, it):
        code = await code_for(it, code_challenge=CHALLENGE, code_challenge_method="S256")
        answer = await it.finish(code, code_verifier=CHALLENGE, code_challenge_method="plain")
        assert (answer.status, answer.json["error"]["message"]) == (400, "Invalid code_challenge_method")
        assert (await it.finish(code, code_verifier=VERIFIER)).status == 403

    @pytest.mark.parametrize(
        ("members", "param"),
        [
            ({"code": None}, "code"),
            ({"code": ""}, "code"),
            ({"code": 5}, "code"),
            ({"code_verifier": []}, "code_verifier"),
        ],
        ids=str,
    )
    async def test_what_is_missing_or_no_text_is_400(self, it, members, param):
        answer = await it.ask("POST", "/v1/auth/keys", {"code": new_code(), **members})
        assert (answer.status, answer.json["error"]["param"]) == (400, param)

    @pytest.mark.parametrize("path", ["/v1/auth/keys", "/v1/auth/keys/code"])
    async def test_other_methods_are_405(self, it, path):
        for method in ("GET", "PUT", "DELETE"):
            answer = await it.ask(method, path)
            assert (answer.status, answer.headers["allow"]) == (405, "POST")


async def test_while_the_store_is_away_both_say_so():
    async with apps(AWAY) as it:
        for answer in (await it.begin(), await it.finish(new_code())):
            assert (answer.status, answer.headers["retry-after"]) == (503, "1")
            assert "The store cannot be reached" in answer.json["error"]["message"]
        assert (await it.finish("guess")).status == 403  # for which nobody need be asked
