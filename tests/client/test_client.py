"""The Python client shows every row once, whatever the gateway does."""

import random

import pytest
import uvloop

from tests.client.desk import FORMATS, live, run, until
from tests.client.fake import RECV_NS, Fake


@pytest.mark.parametrize("kind", FORMATS)
def test_rows_come_as_they_are(kind):
    async def scenario(fake, client, told):
        await fake.publish("trade.FPT", 2)
        answer = await client.subscribe("trade.FPT", "trade.NONE")
        assert answer.topics["trade.FPT"]["mode"] == "all"
        assert answer.refused == {"trade.NONE": 4004}
        await fake.publish("trade.FPT")
        await until(lambda: len(told.updates) == 2)
        state, news = told.updates
        assert (state.kind, state.seq, state.n, state.news) == ("snap", 2, 0, False)
        assert (news.kind, news.seq, news.n, news.news) == ("d", 3, 1, True)
        assert (news.topic, news.channel, news.epoch) == ("trade.FPT", "trade", "7")
        assert int(news.row["recv_ns"]) == RECV_NS + 3
        assert news.row["price" if kind == "json" else "price_e2"] == 3

    run(scenario, format=kind)


def test_rows_of_binary_frames_are_views_that_cannot_be_written():
    async def scenario(fake, client, told):
        await client.subscribe("trade.FPT")
        await fake.publish("trade.FPT")
        await until(lambda: told.updates)
        row = told.updates[0].row
        assert row.dtype.names == ("seq", "recv_ns", "price_e2")
        with pytest.raises(ValueError):
            row["seq"] = 1

    run(scenario, format="bin")


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("topic", ["trade.FPT", "trade.*", "*"])
def test_what_was_missed_comes_after_a_cut_and_nothing_twice(kind, topic):
    async def scenario(fake, client, told):
        await client.subscribe(topic)
        await fake.publish("trade.FPT", 3)
        await until(lambda: len(told.updates) == 3)
        await fake.cut()
        await fake.publish("trade.FPT", 4)
        await until(lambda: fake.lines)
        await until(lambda: len(told.updates) == 7)
        await fake.publish("trade.FPT")
        await until(lambda: len(told.updates) == 8)
        assert told.news("trade.FPT") == [1, 2, 3, 4, 5, 6, 7, 8]
        assert not told.gaps
        resumed = fake.requests[-1]
        assert resumed["since"] == {"epoch": "7", "seq": {"trade.FPT": 3} | resumed["since"]["seq"]}

    run(scenario, format=kind)


def test_a_past_that_is_gone_is_told_row_by_row():
    async def scenario(fake, client, told):
        await fake.publish("trade.FPT")
        await client.subscribe("trade.FPT")
        await fake.publish("trade.FPT")
        await until(lambda: told.news("trade.FPT") == [2])
        await fake.cut()
        await fake.publish("trade.FPT", 5)
        fake.kept_from = 100
        await until(lambda: len(told.updates) == 3)
        assert told.gaps == [("trade.FPT", 3, 7, "resume")]
        assert told.updates[-1].news is False

    run(scenario)


@pytest.mark.parametrize("lost", ["a frame", "a byte"])
def test_a_replay_that_does_not_add_up_is_a_gap(lost):
    def mangle(payload):
        if '"seq":2' in payload:
            return None if lost == "a frame" else payload.replace('"price":2', '"price":9')
        return payload

    async def scenario(fake, client, told):
        await client.subscribe("trade.FPT")
        await fake.publish("trade.FPT")
        await until(lambda: told.updates)
        await fake.cut()
        fake.mangle = mangle
        await fake.publish("trade.FPT", 2)
        await until(lambda: told.updates[-1].seq == 3 and told.gaps)
        assert ("trade.FPT", 2, 3, "resume") in told.gaps or lost == "a frame"

    run(scenario)


def test_a_new_numbering_is_told_and_old_numbers_are_never_compared_with_new_ones():
    async def scenario(fake, client, told):
        await client.subscribe("trade.FPT")
        await fake.publish("trade.FPT", 5)
        await until(lambda: len(told.updates) == 5)
        await fake.cut()
        await fake.start_over("8")
        await fake.publish("trade.FPT", 2)
        await until(lambda: len(told.updates) == 6)
        assert told.gaps == [("trade.FPT", 1, 2, "epoch")]
        assert told.updates[-1].epoch == "8"
        assert "since" not in fake.requests[-1]
        await fake.publish("trade.FPT")
        await until(lambda: told.news("trade.FPT")[-1] == 3)
        told.check()

    run(scenario)


@pytest.mark.parametrize("seed", range(4))
def test_a_wild_life_shows_every_row_once_or_says_that_it_is_gone(seed):
    dice = random.Random(seed)

    async def scenario(fake, client, told):
        await client.subscribe("trade.*")
        for round_no in range(40):
            for _ in range(dice.randrange(3)):
                await fake.publish(dice.choice([*fake.rows]), dice.randrange(1, 4))
            match dice.randrange(6):
                case 0:
                    await fake.cut()
                case 1:
                    await fake.cut(1012, op="shutdown", code=1012, reason="r", retry="reconnect")
                case 2:
                    fake.kept_from = dice.choice([1, max(fake.rows.values()) - 1])
                case 3 if round_no % 5 == 0:
                    await fake.start_over(str(100 + round_no))
            if dice.random() < 0.6:
                await until(lambda: fake.lines and all(fake.lines.values()))
                await fake.heartbeat()
        await until(lambda: fake.lines and all(fake.lines.values()))
        for topic in fake.rows:
            await fake.publish(topic)
        await until(lambda: told.check() == fake.rows)
        assert told.gaps
        assert fake.hellos > 5

    kind = FORMATS[seed % 2]
    run(scenario, Fake("trade.FPT", "trade.HPG", "trade.VNM"), format=kind)


def test_who_reads_slowly_stops_reading_and_still_gets_answers():
    fake = Fake("trade.FPT", "trade.HPG")

    async def main():
        got = []
        async with live(fake, queue_max=5) as client:
            await fake.publish("trade.HPG")
            await client.subscribe("trade.HPG")
            await client.subscribe("trade.FPT")
            await fake.publish("trade.FPT", 200)
            await until(lambda: len(client._queue) >= 5)
            assert len(client._queue) < 10  # then it stopped
            assert (await client.subscribe("trade.NONE")).refused == {"trade.NONE": 4004}
            async for update in client:
                got.append((update.topic, update.seq))
                if len(got) == 201:
                    break
        assert got == [("trade.HPG", 1), *(("trade.FPT", seq) for seq in range(1, 201))]

    uvloop.run(main())


def test_gaps_are_told_between_the_updates_they_lie_between():
    fake = Fake("trade.FPT")

    async def main():
        seen = []
        async with live(fake) as client:
            client.on_gap(seen.append)
            await client.subscribe("trade.FPT")
            await fake.publish("trade.FPT", 2)
            fake.rows["trade.FPT"] += 3
            await fake.publish("trade.FPT")
            await until(lambda: len(client._queue) == 4)
            async for update in client:
                seen.append(update.seq)
                if update.seq == 6:
                    break
        assert seen == [1, 2, ("trade.FPT", 3, 5, "lost"), 6]

    uvloop.run(main())
