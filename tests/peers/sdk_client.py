"""The official v3 SDK, unmodified, as a program: REST calls, then the stream, as JSON lines.

Usage: sdk_client.py REST_URL STREAM_URL API_KEY API_SECRET OTP TASK, where TASK is rest, stream,
smart (stream, signed in by an approval) or watch (only connect). An empty OTP signs in without.
"""

import asyncio
import dataclasses
import json
import sys

from ssi_sdk import AsyncAuth, AsyncData, AsyncStream, Config
from ssi_sdk.enums import Board, Timeframe

url, stream_url, key, secret, otp, task = sys.argv[1:]
config = Config(
    api_url=url,
    streaming_url=stream_url,
    api_key=key,
    api_secret=secret,
    retry_delay_ms=50,
    rate_limit_per_second=0,
    otp_poll_interval_ms=10,
    log_level="CRITICAL",
)
DAY = "2021/07/15"


def tell(**what: object) -> None:
    print(json.dumps(what, default=str), flush=True)


def fields(told: object) -> object:
    """Return a model of the SDK as plain JSON."""
    if isinstance(told, list):
        return [fields(each) for each in told]
    return dataclasses.asdict(told) if dataclasses.is_dataclass(told) else told


async def rest(auth: AsyncAuth) -> None:
    """Make every market data call there is."""
    async with AsyncData(auth) as data:
        market = data.market_data
        days = {"from_date": DAY, "to_date": DAY}
        calls = {
            "indexes": market.get_indexes(),
            "indexes_by_board": market.get_indexes_by_board(Board.HNX),
            "index_summary": market.get_index_summary("VN30"),
            "index_summary_of": market.get_index_summary_historical("VN30", DAY),
            "board_summary": market.get_board_summary(Board.HNX),
            "securities_info": market.get_securities_info("HPG"),
            "securities_by_index": market.get_securities_info_by_index("VN30"),
            "securities_by_board": market.get_securities_info_by_board(Board.HNX),
            "summary": market.get_securities_summary_historical("HPG", **days),
            "summary_by_index": market.get_securities_summary_by_index_historical("VN30", **days),
            "summary_today": market.get_securities_summary("HPG"),
            "master_data": market.get_master_data_historical(**days),
            "master_data_today": market.get_master_data(),
            "minutes": market.get_ohlc_1minute_historical("HPG", **days),
            "minutes_paged": market.get_ohlc_all(
                "HPG", Timeframe.MINUTE_1, **days, size=7, ascending=True
            ),
            "hours": market.get_ohlc_1hour_historical("HPG", **days),
            "days": market.get_ohlc_1day_historical("HPG", **days),
            "today": market.get_ohlc_1minute("HPG"),
            "actions": market.get_corporate_actions_historical(**days),
        }
        for name, call in calls.items():
            try:
                tell(rest=name, answer=fields(await call))
            except Exception as error:
                tell(rest=name, failed=repr(error))


async def stream(auth: AsyncAuth) -> None:
    """Subscribe to everything there is, and tell what comes until nobody listens."""
    acknowledgements = 0

    def acknowledged(message: dict[str, object]) -> None:
        nonlocal acknowledgements
        acknowledgements += 1
        tell(ack=message)

    def data(message: object) -> None:
        if not isinstance(message, dict):  # acknowledgements come here too, as they are
            tell(data=type(message).__name__, fields=fields(message))

    async with AsyncStream(auth) as client:
        streaming = client.streaming
        streaming.on_data = data
        streaming.on_heartbeat = lambda message: tell(heartbeat=fields(message))
        streaming.on_connection = lambda event: tell(
            state=event.state, error=type(event.error).__name__
        )
        await streaming.connect()
        if task == "watch":
            await asyncio.to_thread(sys.stdin.read)
            return
        await streaming.ping()
        for request in (
            streaming.subscribe_symbol_trade(["*"], acknowledged),
            streaming.subscribe_symbol_quote(["ACB", "hpg"], acknowledged),
            streaming.subscribe_symbol_room(["A-HZZ"], acknowledged),
            streaming.subscribe_symbol_put_through(["*"], acknowledged),
            streaming.subscribe_symbol_odd_lot(["*"], acknowledged),
            streaming.subscribe_market(["HOSE", "WCS"], acknowledged),
            streaming.subscribe_market_flag(acknowledged),
            streaming.subscribe_index_trade(["VN30", "HNXINDEX"], None, acknowledged),
            streaming.subscribe_index_trade(["VN30"], "1m", acknowledged),
            streaming.subscribe_index_summary(["VN30"], acknowledged),
            streaming.subscribe_symbol_ohlcv(["HPG"], "1m", acknowledged),
            streaming.subscribe_symbol_ohlcv(["*"], "5m", acknowledged),
            streaming.subscribe_board([Board.HNX], acknowledged),
            streaming.subscribe_symbol_room(["VNM"], acknowledged),
            streaming.subscribe_order_status("*", acknowledged),
        ):
            await request
        await streaming.unsubscribe_symbol_room(["VNM"])
        while acknowledgements < 17:
            await asyncio.sleep(0.01)
        tell(listed=await streaming.list_subscription())
        await asyncio.to_thread(sys.stdin.read)


async def main() -> None:
    async with AsyncAuth(config) as auth:
        try:
            if task == "smart":
                asked = await auth.request_otp_typed()
                await auth.ensure_authenticated(transaction_id=asked.transaction_id)
                await auth.refresh()
                tell(signed_in=asked.message, otp=True)
            else:
                token = await auth.authenticate(otp=otp or None)
                tell(signed_in=token.token_type, expired=auth.is_token_expired)
            await (rest(auth) if task == "rest" else stream(auth))
        except Exception as error:
            tell(failed=type(error).__name__, text=str(error))
            raise SystemExit(1) from None


asyncio.run(main())
