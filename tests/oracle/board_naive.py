"""The market-wide board as market-behaviour sections 3 to 7 read, in plain Python.

It keeps every row it was ever given and, asked what the board says, looks for the newest one of
each symbol and counts from nothing. Rows are dicts of Python values by field name.
"""

import re
from fractions import Fraction
from typing import Any

Row = dict[str, Any]

SCOPES = ["ALL", "HOSE", "HNX", "UPCOM", "VN30"]
LISTS = ["VALUE", "GAIN", "LOSS", "BUYING", "SELLING", "FBUY", "FSELL"]
INDICES = ["VN30", "VN100", "HNX30", "VNINDEX", "HNXINDEX"]
VENUES = {"HOSE": 1, "HNX": 2, "UPCOM": 3}
BASKETS = {"VN30": 1, "VN100": 2, "HNX30": 4}
WHOLE_VENUE = {"VNINDEX": "HOSE", "HNXINDEX": "HNX"}
STOCK, INDEX, BOARD = 1, 3, 5
BUY, SELL = 1, 2
PRE, ATO, CONTINUOUS, BREAK, ATC, PLO, CLOSED = 0, 1, 2, 3, 4, 5, 7
DAY_S, ICT_S = 86_400, 25_200
HOURS = {  # of 2021: from which minute of the day which phase
    "HOSE": [(0, PRE), (540, ATO), (555, CONTINUOUS), (690, BREAK), (780, CONTINUOUS), (870, ATC),
             (885, CLOSED)],
    "HNX": [(0, PRE), (540, CONTINUOUS), (690, BREAK), (780, CONTINUOUS), (870, ATC), (885, PLO),
            (900, CLOSED)],
    "UPCOM": [(0, PRE), (540, CONTINUOUS), (690, BREAK), (780, CONTINUOUS), (900, CLOSED)],
}  # fmt: skip
FUND = re.compile(r"E1[A-Z0-9]{6}|FUE[A-Z0-9]{5}")
WARRANT = re.compile(r"C[A-Z0-9]{3}\d{4}")
DATED = ["stats", "reference", "foreign", "index", "put_through"]


def rounded(exact: Fraction) -> int:
    """Nearest whole number, halves away from zero."""
    size = int(abs(exact) + Fraction(1, 2))
    return size if exact > 0 else -size


class NaiveBoard:
    """The twin. `weights` is index -> code -> percent as a Fraction."""

    def __init__(self, capacity: int, weights: dict[str, dict[str, Fraction]]) -> None:
        self.capacity = capacity
        self.weights = weights
        self.history: list[tuple[str, Row, int]] = []
        self.said: dict[tuple[str, str], Row] = {}
        self.keys: list[str] = []
        for key in [*SCOPES, *(f"{s}-{name}" for s in SCOPES for name in LISTS), *INDICES]:
            if key not in self.keys:
                self.keys.append(key)

    def take(self, channel: str, row: Row, shard: int) -> None:
        if 0 < row["symbol_id"] < self.capacity:
            self.history.append((channel, row, shard))

    def start_over(self, shard: int) -> None:
        self.history = [entry for entry in self.history if entry[2] != shard]

    # What is known ----------------------------------------------------------------------------

    def newest(self, channel: str) -> dict[int, Row]:
        found: dict[int, Row] = {}
        for name, row, _ in self.history:
            symbol_id = row["symbol_id"]
            if name == channel and row["seq"] > found.get(symbol_id, {"seq": 0})["seq"]:
                found[symbol_id] = row
        return found

    def look(self) -> None:
        """Sort out today: every share that is known, and the rows it has today."""
        rows = {name: self.newest(name) for name in DATED}
        everything = [row for by_id in rows.values() for row in by_id.values()]
        self.day = max((row["trade_day"] for row in everything), default=0)
        today = [row for row in everything if row["trade_day"] == self.day]
        rest = [row for row in rows["reference"].values() if row["trade_day"] == self.day]
        market = [row for row in today if not any(row is other for other in rest)]
        self.now_s = max((row["exch_s"] for row in market or rest), default=0)
        self.now_ns = max((row["recv_ns"] for row in today), default=0)
        self.shares: list[dict[str, Any]] = []
        self.index_rows: dict[str, Row] = {}
        for symbol_id, name in self.newest("symbol").items():
            code = name["code"].decode()
            has = {
                channel: row
                for channel in DATED
                if (row := rows[channel].get(symbol_id)) and row["trade_day"] == self.day
            }
            if name["instrument"] == INDEX and "index" in has:
                self.index_rows[code] = has["index"]
            if name["instrument"] == STOCK and not (
                FUND.fullmatch(code) or WARRANT.fullmatch(code)
            ):
                self.shares.append({"code": code, "venue": name["venue"], **has})
        self.shares.sort(key=lambda share: share["code"])

    def members(self, key: str) -> list[dict[str, Any]]:
        if key == "ALL":
            return self.shares
        if key in self.weights:
            return [share for share in self.shares if share["code"] in self.weights[key]]
        if key in BASKETS:
            return [
                s
                for s in self.shares
                if s.get("reference", {"indices": 0})["indices"] & BASKETS[key]
            ]
        return [s for s in self.shares if s["venue"] == VENUES[WHOLE_VENUE.get(key, key)]]

    # What is said -----------------------------------------------------------------------------

    def summarise(self) -> list[tuple[str, Row]]:
        """Return ``(channel, row)`` for every row that says something new, in order."""
        self.look()
        if self.day == 0:
            return []
        wanted: list[tuple[str, str, Row]] = [
            ("symbol", key, self.head(key) | {
                "recv_ns": self.now_ns, "exch_s": self.now_s, "phase": 0,
                "code": key.encode(), "value_multiplier": 1, "instrument": BOARD,
            }) for key in self.keys
        ]  # fmt: skip
        wanted += [("market", key, self.market(key)) for key in SCOPES]
        wanted += [("foreign.summary", key, self.foreign(key)) for key in SCOPES]
        wanted += [
            ("movers", f"{key}-{name}", self.movers(key, name)) for key in SCOPES for name in LISTS
        ]
        wanted += [("attribution", key, self.attribution(key)) for key in INDICES]
        news = []
        for channel, key, row in wanted:
            last = self.said.get((channel, key))
            if last is None and row["recv_ns"] == 0:
                continue
            if row["recv_ns"] == 0:
                row |= {"recv_ns": self.now_ns, "exch_s": self.now_s}
            stamps = ("seq", "recv_ns", "exch_s", "updates")
            if last and all(row[name] == last[name] for name in row if name not in stamps):
                continue
            row |= {"seq": last["seq"] + 1 if last else 1, "updates": 1}
            self.said[channel, key] = row
            news.append((channel, row))
        return news

    def head(self, key: str, *stamped: Row) -> Row:
        scope = key.split("-")[0]
        home = {"VNINDEX": "HOSE", "VN30": "HOSE", "VN100": "HOSE", "HNX30": "HNX",
                "HNXINDEX": "HNX"}.get(scope, scope)  # fmt: skip
        minute = (self.now_s + ICT_S) % DAY_S // 60
        hours = HOURS["HOSE" if home == "ALL" else home]
        return {
            "recv_ns": max((row["recv_ns"] for row in stamped), default=0),
            "exch_s": max((row["exch_s"] for row in stamped), default=0),
            "symbol_id": self.capacity + self.keys.index(key),
            "phase": [phase for start, phase in hours if start <= minute][-1],
            "venue": VENUES.get(home, 0),
            "flags": 0,
        }

    def market(self, key: str) -> Row:
        shares = self.members(key)
        stats = [share["stats"] for share in shares if "stats" in share]
        deals = [share["put_through"] for share in shares if "put_through" in share]
        traded = [row for row in stats if row["total_volume_shares"] > 0]
        priced = [r for r in traded if r["last_price_e2"] > 0 and r["reference_price_e2"] > 0]
        up = [r for r in priced if r["last_price_e2"] > r["reference_price_e2"]]
        down = [r for r in priced if r["last_price_e2"] < r["reference_price_e2"]]

        def by_side(table: str, side: int) -> int:
            return sum(phase[side] for row in stats for phase in row[table])

        return self.head(key, *stats, *deals) | {
            "advances": len(up),
            "unchanged": len(priced) - len(up) - len(down),
            "declines": len(down),
            "ceilings": sum(r["last_price_e2"] == r["ceiling_price_e2"] for r in up),
            "floors": sum(r["last_price_e2"] == r["floor_price_e2"] for r in down),
            "untraded": len(stats) - len(traded),
            "symbol_count": len(stats),
            "trade_day": self.day,
            "volume_shares": sum(row["volume_shares"] for row in stats),
            "value_vnd": sum(row["value_vnd"] for row in stats),
            "buy_volume_shares": by_side("phase_side_volume_shares", BUY),
            "sell_volume_shares": by_side("phase_side_volume_shares", SELL),
            "buy_value_vnd": by_side("phase_side_value_vnd", BUY),
            "sell_value_vnd": by_side("phase_side_value_vnd", SELL),
            "missed_volume_shares": sum(row["missed_volume_shares"] for row in stats),
            "put_through_volume_shares": sum(row["total_volume_shares"] for row in deals),
            "put_through_value_vnd": sum(row["total_value_vnd"] for row in deals),
        }

    def foreign(self, key: str) -> Row:
        rows = [share["foreign"] for share in self.members(key) if "foreign" in share]
        net = [row["buy_value_vnd"] - row["sell_value_vnd"] for row in rows]
        figures = ["buy_volume_shares", "sell_volume_shares", "buy_value_vnd", "sell_value_vnd"]
        sums = {name: sum(row[name] for row in rows) for name in figures}
        for of, minutes in (("5m", 5), ("5m_before", 6)):
            young = [row for row in rows if self.now_s - row["exch_s"] < minutes * 60]
            for name in (f"net_volume_{of}_shares", f"net_value_{of}_vnd"):
                sums[name] = sum(row[name] for row in young)
        return self.head(key, *rows) | sums | {
            "symbol_count": len(rows),
            "net_buyer_count": sum(value > 0 for value in net),
            "net_seller_count": sum(value < 0 for value in net),
            "trade_day": self.day,
        }  # fmt: skip

    def movers(self, key: str, name: str) -> Row:
        blank = dict.fromkeys(
            ["last_price_e2", "reference_price_e2", "total_volume_shares", "total_value_vnd",
             "value_vnd"], 0,
        )  # fmt: skip
        entries = []
        stamped = []
        for share in self.members(key):
            stats = share.get("stats", blank)
            stamped += [share["stats"]] if "stats" in share else []
            value = stats["total_value_vnd"] or stats["value_vnd"]
            measure = None
            if name == "VALUE":
                measure = value or None
            elif name in ("GAIN", "LOSS"):
                last, reference = stats["last_price_e2"], stats["reference_price_e2"]
                if stats["total_volume_shares"] > 0 and last > 0 and reference > 0 and (
                    last > reference if name == "GAIN" else last < reference
                ):  # fmt: skip
                    measure = (last - reference) * 1_000_000 // reference
            elif name in ("BUYING", "SELLING"):
                if stats["value_vnd"] >= 10**9:
                    buy = sum(phase[BUY] for phase in stats["phase_side_volume_shares"])
                    sell = sum(phase[SELL] for phase in stats["phase_side_volume_shares"])
                    if buy + sell > 0:
                        measure = buy * 1_000_000 // (buy + sell)
            elif "foreign" in share:
                stamped.append(share["foreign"])
                net = share["foreign"]["buy_value_vnd"] - share["foreign"]["sell_value_vnd"]
                if net > 0 if name == "FBUY" else net < 0:
                    measure = net
            if measure is not None:
                entries.append((share["code"], stats, value, measure))
        falling = name in ("VALUE", "GAIN", "BUYING", "FBUY")
        entries.sort(key=lambda entry: (-entry[3] if falling else entry[3], entry[0]))
        entries = entries[:10]
        spare = [0] * (10 - len(entries))
        return self.head(f"{key}-{name}", *stamped) | {
            "trade_day": self.day,
            "top_count": len(entries),
            "top_code": [code.encode() for code, *_ in entries] + [b""] * len(spare),
            "top_price_e2": [stats["last_price_e2"] for _, stats, *_ in entries] + spare,
            "top_reference_price_e2": [s["reference_price_e2"] for _, s, *_ in entries] + spare,
            "top_volume_shares": [s["total_volume_shares"] for _, s, *_ in entries] + spare,
            "top_value_vnd": [value for _, _, value, _ in entries] + spare,
            "top_measure": [measure for *_, measure in entries] + spare,
        }

    def attribution(self, key: str) -> Row:
        told = self.weights.get(key)
        if told is not None:
            shares = self.members(key)
        else:
            shares = [s for s in self.members(key) if "stats" in s or "reference" in s]

        def price(share: dict[str, Any], name: str) -> int:
            return share["stats"][f"{name}_price_e2"] if "stats" in share else 0

        def worth(share: dict[str, Any]) -> int:
            listed = share["reference"]["listed_shares"] if "reference" in share else 0
            return listed * price(share, "reference")

        priced = [s for s in shares if price(s, "last") > 0 and price(s, "reference") > 0]
        source, weight_of = 0, {}
        whole = sum(worth(share) for share in shares)
        if told is not None:
            source, weight_of = 2, {code: percent / 100 for code, percent in told.items()}
        elif whole and 10 * sum(worth(share) > 0 for share in shares) >= 9 * len(shares):
            source = 1
            weight_of = {share["code"]: Fraction(worth(share), whole) for share in shares}
        own = self.index_rows.get(key)
        prior = own["prior_value_e2"] if own else 0
        points = []
        if source and prior > 0:
            for share in priced:
                last, reference = price(share, "last"), price(share, "reference")
                exact = (
                    prior * 100 * weight_of[share["code"]] * Fraction(last - reference, reference)
                )
                points.append((share["code"], rounded(exact)))
        top = sorted((p for p in points if p[1] > 0), key=lambda p: (-p[1], p[0]))[:10]
        bottom = sorted((p for p in points if p[1] < 0), key=lambda p: (p[1], p[0]))[:10]
        stamped = [
            share[name] for share in shares for name in ("stats", "reference") if name in share
        ]
        row = self.head(key, *stamped, *([own] if own else [])) | {
            "trade_day": self.day,
            "weights_source": source,
            "value_e2": own["value_e2"] if own else 0,
            "prior_value_e2": prior,
            "constituent_count": len(told) if told is not None else len(shares),
            "priced_count": len(priced),
            "points_e4": sum(given for _, given in points),
            "top_count": len(top),
            "bottom_count": len(bottom),
        }
        for end, pairs in (("top", top), ("bottom", bottom)):
            row[f"{end}_code"] = [c.encode() for c, _ in pairs] + [b""] * (10 - len(pairs))
            row[f"{end}_points_e4"] = [p for _, p in pairs] + [0] * (10 - len(pairs))
        return row
