"""What a client was told of each key, held against what there was."""

from gateway.client import Gap, Update


class Told:
    """Collects updates and gaps; believes nothing."""

    def __init__(self):
        self.events = []

    def __call__(self, event):
        self.events.append(event)

    @property
    def updates(self):
        return [event for event in self.events if isinstance(event, Update)]

    @property
    def gaps(self):
        return [event for event in self.events if isinstance(event, Gap)]

    def news(self, topic):
        return [update.seq for update in self.updates if update.topic == topic and update.news]

    def check(self):
        """From where a key began, news and gaps follow each other: no hole, nothing twice."""
        at = {}
        for event in self.events:
            if event.topic is None:
                continue
            if isinstance(event, Gap):
                if event.reason == "epoch":
                    at[event.topic] = 0
                assert event.topic in at or event.first_seq == 1, event
                assert at.get(event.topic, 0) + 1 == event.first_seq, event
                at[event.topic] = event.last_seq
            elif event.n:
                assert at.get(event.topic, event.seq - event.n) == event.seq - event.n, event
                at[event.topic] = event.seq
            else:
                assert at.setdefault(event.topic, event.seq) == event.seq, event
        return at
