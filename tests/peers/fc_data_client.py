"""The official v2 client, unmodified, as a program: REST calls, then the stream, as JSON lines.

Usage: fc_data_client.py PORT CONSUMER_ID CONSUMER_SECRET DAY SYMBOL CHANNELS
"""

import json
import os
import sys
import threading
from types import SimpleNamespace

from ssi_fc_data.fc_md_client import MarketDataClient
from ssi_fc_data.fc_md_stream import MarketDataStream
from ssi_fc_data.model import model

port, consumer_id, secret, day, symbol, channels = sys.argv[1:]
url = f"http://127.0.0.1:{port}/"
config = SimpleNamespace(
    auth_type="Bearer",
    consumerID=consumer_id,
    consumerSecret=secret,
    url=url,
    stream_url=url,
)
talking = threading.Lock()


def tell(**what: object) -> None:
    """Print one line; the stream's thread and the main one take turns."""
    with talking:
        print(json.dumps(what), flush=True)


client = MarketDataClient(config)
page = {"pageIndex": 1, "pageSize": 100}
days = {"fromDate": day, "toDate": day}
calls = {
    "AccessToken": (client.access_token, (model.accessToken(consumer_id, secret),)),
    "Securities": (client.securities, (config, model.securities("HOSE", **page))),
    "SecuritiesDetails": (
        client.securities_details,
        (config, model.securities_details("HOSE", symbol, **page)),
    ),
    "IndexComponents": (client.index_components, (config, model.index_components("VN30", **page))),
    "IndexList": (client.index_list, (config, model.index_list("HOSE", **page))),
    "DailyOhlc": (client.daily_ohlc, (config, model.daily_ohlc(symbol, **days, **page))),
    "IntradayOhlc": (client.intraday_ohlc, (config, model.intraday_ohlc(symbol, **days, **page))),
    "DailyIndex": (
        client.daily_index,
        (config, model.daily_index("1", "VN30", **days, **page)),
    ),
    "DailyStockPrice": (
        client.daily_stock_price,
        (config, model.daily_stock_price(symbol, **days, **page, market="HOSE")),
    ),
}
for name, (call, arguments) in calls.items():
    try:
        tell(rest=name, answer=call(*arguments))
    except Exception as error:
        tell(rest=name, failed=repr(error))

stream = MarketDataStream(config, client, on_close=lambda: tell(closed=True))
stream.start(
    lambda message: tell(message=message),
    lambda error: tell(error=str(error)),
    channels,
)
sys.stdin.read()  # the stream's thread has no end of its own
os._exit(0)
