"""/metrics: everybody's counters in Prometheus' text format.

Labels are role and index, never a symbol: their number does not grow with the market.
"""

from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from engine.schema.codes import FeedState, Reject
from engine.status import Process, Sources
from gateway.rest.health import feed_state, is_up
from gateway.rest.metric_table import METRICS, NANOSECOND

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4
LABELS: Final = ("role", "index")


class Counters(Collector):
    """Reads the counters of every process when it is asked.

    Parameters
    ----------
    sources
        Where they are.
    now_ns
        The wall clock.
    """

    def __init__(self, sources: Sources, now_ns: Callable[[], int]) -> None:
        self._sources = sources
        self._now_ns = now_ns

    def describe(self) -> list[Metric]:
        """Name nothing beforehand: what there is depends on who is there."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield every metric once, with a sample per process that has it."""
        processes = self._sources.processes()
        yield from self._of_all(processes)
        yield from self._of_the_feed()
        families: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
        for process in processes:
            for cell, metric in METRICS[process.role].items():
                family = families.get(metric.name)
                if family is None:
                    kind = CounterMetricFamily if metric.type == "counter" else GaugeMetricFamily
                    family = families[metric.name] = kind(metric.name, metric.help, labels=LABELS)
                value = int(process.counters[0][cell])
                family.add_metric(
                    [process.role, str(process.index)],
                    value * metric.scale if metric.scale != 1 else value,
                )
        yield from families.values()

    def _of_all(self, processes: list[Process]) -> Iterator[Metric]:
        now_ns = self._now_ns()
        up = GaugeMetricFamily(
            "vntape_up", "1 when the process's loop has turned lately", labels=LABELS
        )
        age = GaugeMetricFamily(
            "vntape_heartbeat_age_seconds", "Time since the loop last turned", labels=LABELS
        )
        started = GaugeMetricFamily(
            "vntape_started_timestamp_seconds", "When the process began", labels=LABELS
        )
        lag = GaugeMetricFamily(
            "vntape_lag_slots", "Slots published and not folded yet", labels=LABELS
        )
        for process in processes:
            labels = [process.role, str(process.index)]
            cell = process.counters[0]
            beat_ns = int(cell["heartbeat_ns"])
            up.add_metric(labels, int(is_up(beat_ns, now_ns)))
            if beat_ns:
                age.add_metric(labels, (now_ns - beat_ns) * NANOSECOND)
                started.add_metric(labels, int(cell["started_ns"]) * NANOSECOND)
            if "lag_slots" in (cell.dtype.names or ()):
                lag.add_metric(labels, int(cell["lag_slots"]))
        yield from (up, age, started, lag)

    def _of_the_feed(self) -> Iterator[Metric]:
        ingest = self._sources.ingest
        for name, text, now in (
            ("vntape_feed_state", "1 for the feed's verdict", feed_state(self._sources)),
            (
                "vntape_link_state",
                "1 for the state of the connection alone",
                FeedState(int(ingest["link_state"][0])),
            ),
        ):
            family = GaugeMetricFamily(name, text, labels=("state",))
            for state in FeedState:
                family.add_metric([state.name.lower()], int(state is now))
            yield family
        rejected = CounterMetricFamily(
            "vntape_rejected_messages_total", "Messages nobody could read", labels=("reason",)
        )
        for reason in Reject:
            rejected.add_metric([reason.name.lower()], int(ingest["rejected"][0, reason]))
        yield rejected


def exposition(sources: Sources, now_ns: Callable[[], int]) -> Callable[[], bytes]:
    """Return what writes the page."""
    registry = CollectorRegistry()
    registry.register(Counters(sources, now_ns))
    return lambda: generate_latest(registry)
