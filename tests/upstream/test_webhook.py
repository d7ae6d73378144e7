import asyncio
import contextlib
import ssl

import orjson
import pytest
from aiohttp import web

from fairlead.tasks import Tasks
from fairlead.upstream.webhook import Webhook, signature

pytestmark = pytest.mark.anyio

TIME_LIMIT_S = 10


class Receiver:
    """Takes what is posted; answers with `statuses` by turns, then with 204."""

    def __init__(self, *statuses):
        self.statuses = list(statuses)
        self.taken = asyncio.Queue()

    async def take(self, request):
        await self.taken.put((request.headers.copy(), await request.read()))
        return web.Response(status=self.statuses.pop(0) if self.statuses else 204)

    @contextlib.asynccontextmanager
    async def serving(self):
        """With its URL."""
        app = web.Application()
        app.router.add_post("/hook", self.take)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
        finally:
            await runner.cleanup()


@contextlib.asynccontextmanager
async def webhook_to(url, secret=None, retries_s=(0.0, 0.0)):
    told, faults = [], []
    webhook = Webhook(url, secret, ssl.create_default_context(), told.append, retries_s)
    tasks = Tasks(lambda name, error: faults.append(error))
    tasks.start("webhook", webhook.run())
    webhook.told = told
    try:
        yield webhook
    finally:
        await tasks.close()
    assert not faults


async def test_it_is_signed_so_that_the_receiver_can_tell():
    receiver = Receiver()
    async with receiver.serving() as url, webhook_to(url, "s3cret") as webhook, asyncio.timeout(TIME_LIMIT_S):
        webhook.send("spend.alert", {"window": "daily"})
        headers, body = await receiver.taken.get()
    assert orjson.loads(body) == {"event": "spend.alert", "window": "daily"}
    assert headers["X-Fairlead-Event"] == "spend.alert"
    timestamp = int(headers["X-Fairlead-Timestamp"])
    assert headers["X-Fairlead-Signature"] == signature("s3cret", timestamp, body)
    assert headers["X-Fairlead-Signature"] != signature("other", timestamp, body)


async def test_without_a_secret_there_is_no_signature():
    receiver = Receiver()
    async with receiver.serving() as url, webhook_to(url) as webhook, asyncio.timeout(TIME_LIMIT_S):
        webhook.send("spend.alert", {})
        headers, _ = await receiver.taken.get()
    assert "X-Fairlead-Signature" not in headers


async def test_a_receiver_in_trouble_gets_the_same_delivery_again():
    receiver = Receiver(500, 302)
    async with receiver.serving() as url, webhook_to(url) as webhook, asyncio.timeout(TIME_LIMIT_S):
        webhook.send("spend.alert", {"n": 1})
        webhook.send("spend.alert", {"n": 2})
        tries = [await receiver.taken.get() for _ in range(4)]
        assert not webhook.told
    assert [orjson.loads(body)["n"] for _, body in tries] == [1, 1, 1, 2]
    assert len({headers["X-Fairlead-Delivery"] for headers, _ in tries[:3]}) == 1
    assert tries[3][0]["X-Fairlead-Delivery"] != tries[0][0]["X-Fairlead-Delivery"]


async def test_what_nobody_takes_is_given_up_and_told_without_the_address():
    receiver = Receiver(500, 500, 500)
    async with receiver.serving() as url, webhook_to(url) as webhook, asyncio.timeout(TIME_LIMIT_S):
        webhook.send("spend.alert", {"n": 1})
        webhook.send("spend.alert", {"n": 2})
        tries = [await receiver.taken.get() for _ in range(4)]
    assert orjson.loads(tries[3][1])["n"] == 2
    assert webhook.told == ["webhook: a spend.alert is given up after 3 tries: the receiver answered 500"]


async def test_nobody_there():
    async with webhook_to("http://127.0.0.1:1/hook") as webhook, asyncio.timeout(TIME_LIMIT_S):
        webhook.send("spend.alert", {})
        while not webhook.told:
            await asyncio.sleep(0.005)
    assert "ClientConnectorError" in webhook.told[0]
    assert "127.0.0.1" not in webhook.told[0]
