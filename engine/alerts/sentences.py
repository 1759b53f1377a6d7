"""What an alert says to a human: its id, and one sentence in English and one in Vietnamese.

Source: market-behaviour section 10. Pure, and without the JIT: gateways import it. Which numbers of
ALERT_DELTA an alert of each type fills; the others are 0 (e2 prices are points for futures):

====================  =====================================================================
volume_spike          price_e2, volume_shares, value_vnd: the match. measured: its volume in
                      percent of the mean before it; threshold: the rule's percentage. count:
                      trades in that mean. duration_s: trailing time it is taken over
price_limit           limit_state: the limit entered (BEGIN) or left (END). level_e2: its price.
                      price_e2: the match. volume_shares: size of the match that entered; at END
                      the queue that waited at the limit. count: entries today. duration_s: at
                      END, time at the limit
foreign_acceleration  value_vnd: net buying of today so far. measured: its change in five minutes;
                      threshold: least change that is told, without sign. volume_shares: net
                      buying of the five minutes. So ``value_vnd - measured`` is the value before
basis_flip            price_e2: the contract; level_e2: the spot. measured: basis x 100;
                      threshold: the band x 100
block_trade           price_e2, volume_shares, value_vnd: the match or, with phase PUT_THROUGH,
                      the deal. measured: the value; threshold: the least that is told
halt                  duration_s: at END, time since the halt was first seen
room_exhausted        volume_shares: room left. SOON: measured: predicted seconds to the end;
                      threshold: the most that are told. duration_s: at END, time without room
feed, of the feed     feed_state. duration_s: at END, time since it went away or silent. Frames
                      that we dropped: alert_state NONE, gap_cause LOST, measured: how many
feed, of a symbol     gap_no, gap_cause. volume_shares: missed when the gap opened. duration_s:
                      at END, time since then
rule                  rule: its name in the configuration. price_e2, volume_shares, value_vnd:
                      those of the row that fired it, where it has them (``rulebook``)
====================  =====================================================================
"""

from collections.abc import Callable
from datetime import date
from typing import Any, Final

from engine.alerts.wording import ENGLISH, VIETNAMESE, Language, rounded
from engine.schema.codes import (
    AlertState,
    AlertType,
    FeedState,
    GapCause,
    LimitState,
    Phase,
)

EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()

WhatItSays = Callable[["_Facts"], str]


def alert_id(row: Any, code: str) -> str:
    """Return the id of an alert: the same for the same slots, whoever computes it.

    Parameters
    ----------
    row : ALERT_DELTA record
        One alert.
    code
        What its ``symbol_id`` names.

    Returns
    -------
    str
        Date, type, code and number of the day, such as ``20260720-volume_spike-FPT-1``; a rule
        of the operator's own is ``20260720-rule.NAME-FPT-1``.
    """
    day = date.fromordinal(EPOCH_ORDINAL + int(row["trade_day"]))
    kind = AlertType(int(row["alert_type"]))
    name = kind.name.lower()
    if kind == AlertType.RULE:
        name = f"{name}.{_rule_name(row)}"
    return f"{day:%Y%m%d}-{name}-{code}-{int(row['alert_no'])}"


def sentence_en(row: Any, code: str, multiplier: int) -> str:
    """Return the alert in one English sentence.

    Parameters
    ----------
    row : ALERT_DELTA record
        One alert.
    code
        What its ``symbol_id`` names.
    multiplier
        VND per 1.00 of its price: 1 for shares, else its prices are points and its volumes
        contracts.
    """
    facts = _Facts(row, code, ENGLISH, multiplier)
    return _ENGLISH_SENTENCES[facts.kind](facts)


def sentence_vi(row: Any, code: str, multiplier: int) -> str:
    """Return the alert in one Vietnamese sentence; arguments as for `sentence_en`."""
    facts = _Facts(row, code, VIETNAMESE, multiplier)
    return _VIETNAMESE_SENTENCES[facts.kind](facts)


def _rule_name(row: Any) -> str:
    return bytes(row["rule"]).rstrip(b"\0").decode("utf-8", "replace")


class _Facts:
    """An alert's numbers as text of one language."""

    def __init__(self, row: Any, code: str, language: Language, multiplier: int) -> None:
        self._row = row
        self.code = code
        self.say = language
        self.in_points = multiplier > 1  # 0: it never introduced itself
        self.kind = AlertType(int(row["alert_type"]))
        self.state = AlertState(int(row["alert_state"]))
        self.feed_state = FeedState(int(row["feed_state"]))

    def __getitem__(self, name: str) -> int:
        return int(self._row[name])

    @property
    def rule(self) -> str:
        return _rule_name(self._row)

    @property
    def at_ceiling(self) -> bool:
        return self["limit_state"] == LimitState.CEILING

    @property
    def of_a_gap(self) -> bool:
        return self["gap_no"] > 0

    @property
    def of_lost_frames(self) -> bool:
        return self["gap_cause"] == GapCause.LOST

    @property
    def price(self) -> str:
        return self._price("price_e2")

    @property
    def level(self) -> str:
        return self._price("level_e2")

    def _price(self, name: str) -> str:
        return self.say.number(self[name], 2, least=2 if self.in_points else 0)

    @property
    def volume(self) -> str:
        unit = self.say.words["contracts" if self.in_points else "shares"]
        return f"{self.say.number(self['volume_shares'])} {unit}"

    @property
    def value(self) -> str:
        return self.say.money(self["value_vnd"])

    @property
    def lasted(self) -> str:
        return self.say.duration(self["duration_s"])

    @property
    def times(self) -> str:
        """The measured percentage as a multiple, with one decimal."""
        return self.say.number(rounded(self["measured"], 100, 1), 1)

    @property
    def share_of_before(self) -> str:
        """The measured change in percent of the value before it."""
        before = self["value_vnd"] - self["measured"]
        if before == 0:
            return ""
        return f"{self.say.number(rounded(100 * abs(self['measured']), abs(before), 0))}%"


# English ---------------------------------------------------------------------------------------


def _volume_spike_en(of: _Facts) -> str:
    return (
        f"{of.code}: volume spike, {of.volume} at {of.price} in one match, {of.times} times the "
        f"mean of {of.say.number(of['count'])} trades in the {of.lasted} before."
    )


def _price_limit_en(of: _Facts) -> str:
    limit = "ceiling" if of.at_ceiling else "floor"
    if of.state != AlertState.END:
        return f"{of.code} is at its {limit} of {of.level}."
    queue = f"; {of.volume} were queued there" if of["volume_shares"] else ""
    return f"{of.code} left its {limit} of {of.level} after {of.lasted}, at {of.price}{queue}."


def _foreign_acceleration_en(of: _Facts) -> str:
    def side(value: int) -> str:
        return "bought" if value >= 0 else "sold"

    change, net = of["measured"], of["value_vnd"]
    return (
        f"{of.code}: foreigners net {side(change)} {of.say.money(abs(change))} in 5 min, "
        f"{of.share_of_before} of the net value before; today they net {side(net)} "
        f"{of.say.money(abs(net))}."
    )


def _basis_flip_en(of: _Facts) -> str:
    basis = of["measured"]
    return (
        f"{of.code} turned to a {'premium' if basis > 0 else 'discount'} of "
        f"{of.say.number(abs(basis), 2, least=2)} points, {of.price} against a spot of {of.level}."
    )


def _block_trade_en(of: _Facts) -> str:
    what = "put-through deal" if of["phase"] == Phase.PUT_THROUGH else "block trade"
    return f"{of.code}: {what} of {of.volume} at {of.price}, worth {of.value}."


def _halt_en(of: _Facts) -> str:
    if of.state == AlertState.END:
        return f"{of.code}: trading resumed after {of.lasted}."
    return f"{of.code}: trading is halted."


def _room_exhausted_en(of: _Facts) -> str:
    if of.state == AlertState.SOON:
        left = of.say.duration(of["measured"])
        return (
            f"{of.code}: foreign room of {of.volume} will be used up in about {left} "
            "at the present speed."
        )
    if of.state == AlertState.END:
        return f"{of.code}: there is foreign room again, {of.volume}, after {of.lasted}."
    return f"{of.code}: foreign room is exhausted."


def _feed_en(of: _Facts) -> str:
    if of.of_a_gap and of.state == AlertState.END:
        return f"{of.code}: gap {of['gap_no']} closed after {of.lasted}."
    if of.of_a_gap:
        return f"{of.code}: gap {of['gap_no']} opened, {of.volume} traded and were not shown."
    if of.of_lost_frames:
        return f"{of.say.number(of['measured'])} frames of the feed were dropped by our backlog."
    if of.state == AlertState.END:
        return f"The market data feed is back after {of.lasted}."
    if of.feed_state == FeedState.STALE:
        return "The market data feed is connected, but silent."
    return "The market data feed is away."


def _rule_en(of: _Facts) -> str:
    return f"{of.code} meets rule {of.rule}."


# Vietnamese ------------------------------------------------------------------------------------


def _volume_spike_vi(of: _Facts) -> str:
    return (
        f"{of.code}: khối lượng đột biến, khớp {of.volume} giá {of.price} trong một lệnh, gấp "
        f"{of.times} lần trung bình của {of.say.number(of['count'])} lệnh trong {of.lasted} trước."
    )


def _price_limit_vi(of: _Facts) -> str:
    limit = "trần" if of.at_ceiling else "sàn"
    if of.state != AlertState.END:
        return f"{of.code} chạm giá {limit} {of.level}."
    waiting = "dư mua trần" if of.at_ceiling else "dư bán sàn"
    queue = f"; {waiting} trước đó {of.volume}" if of["volume_shares"] else ""
    return f"{of.code} rời giá {limit} {of.level} sau {of.lasted}, khớp giá {of.price}{queue}."


def _foreign_acceleration_vi(of: _Facts) -> str:
    def side(value: int) -> str:
        return "mua ròng" if value >= 0 else "bán ròng"

    change, net = of["measured"], of["value_vnd"]
    return (
        f"{of.code}: khối ngoại {side(change)} {of.say.money(abs(change))} trong 5 phút, bằng "
        f"{of.share_of_before} giá trị ròng trước đó; từ đầu phiên {side(net)} "
        f"{of.say.money(abs(net))}."
    )


def _basis_flip_vi(of: _Facts) -> str:
    basis = of["measured"]
    return (
        f"{of.code}: chênh lệch chuyển sang {'dương' if basis > 0 else 'âm'} "
        f"{of.say.number(abs(basis), 2, least=2)} điểm, giá {of.price} so với chỉ số cơ sở "
        f"{of.level}."
    )


def _block_trade_vi(of: _Facts) -> str:
    what = "thỏa thuận lớn" if of["phase"] == Phase.PUT_THROUGH else "khớp lệnh lớn"
    return f"{of.code}: {what} {of.volume} giá {of.price}, giá trị {of.value}."


def _halt_vi(of: _Facts) -> str:
    if of.state == AlertState.END:
        return f"{of.code} giao dịch trở lại sau {of.lasted}."
    return f"{of.code} bị tạm ngừng giao dịch."


def _room_exhausted_vi(of: _Facts) -> str:
    if of.state == AlertState.SOON:
        left = of.say.duration(of["measured"])
        return (
            f"{of.code}: room khối ngoại còn {of.volume}, dự kiến hết sau khoảng {left} "
            "theo tốc độ hiện tại."
        )
    if of.state == AlertState.END:
        return f"{of.code}: khối ngoại có room trở lại, {of.volume}, sau {of.lasted}."
    return f"{of.code} đã hết room khối ngoại."


def _feed_vi(of: _Facts) -> str:
    if of.of_a_gap and of.state == AlertState.END:
        return f"{of.code}: khoảng thiếu dữ liệu số {of['gap_no']} đã khép lại sau {of.lasted}."
    if of.of_a_gap:
        return (
            f"{of.code}: phát hiện khoảng thiếu dữ liệu số {of['gap_no']}, {of.volume} đã khớp "
            "nhưng không nhận được."
        )
    if of.of_lost_frames:
        return f"Hàng đợi của hệ thống bị tràn, mất {of.say.number(of['measured'])} gói dữ liệu."
    if of.state == AlertState.END:
        return f"Dữ liệu thị trường có trở lại sau {of.lasted}."
    if of.feed_state == FeedState.STALE:
        return "Dữ liệu thị trường vẫn kết nối nhưng không có tin mới."
    return "Mất kết nối dữ liệu thị trường."


def _rule_vi(of: _Facts) -> str:
    return f"{of.code} thỏa điều kiện {of.rule}."


_ENGLISH_SENTENCES: Final[dict[AlertType, WhatItSays]] = {
    AlertType.VOLUME_SPIKE: _volume_spike_en,
    AlertType.PRICE_LIMIT: _price_limit_en,
    AlertType.FOREIGN_ACCELERATION: _foreign_acceleration_en,
    AlertType.BASIS_FLIP: _basis_flip_en,
    AlertType.BLOCK_TRADE: _block_trade_en,
    AlertType.HALT: _halt_en,
    AlertType.ROOM_EXHAUSTED: _room_exhausted_en,
    AlertType.FEED: _feed_en,
    AlertType.RULE: _rule_en,
}
_VIETNAMESE_SENTENCES: Final[dict[AlertType, WhatItSays]] = {
    AlertType.VOLUME_SPIKE: _volume_spike_vi,
    AlertType.PRICE_LIMIT: _price_limit_vi,
    AlertType.FOREIGN_ACCELERATION: _foreign_acceleration_vi,
    AlertType.BASIS_FLIP: _basis_flip_vi,
    AlertType.BLOCK_TRADE: _block_trade_vi,
    AlertType.HALT: _halt_vi,
    AlertType.ROOM_EXHAUSTED: _room_exhausted_vi,
    AlertType.FEED: _feed_vi,
    AlertType.RULE: _rule_vi,
}
