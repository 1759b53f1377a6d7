"""What a topic names: `trade.FPT`, `trade.VN30*`, `stats.*`, `*`. Pure.

Where several topics of a client name one key, the most specific decides its mode: an exact code,
then the longer prefix, then `*`. So a key is delivered once, whatever is subscribed.
"""

from dataclasses import dataclass

from engine.schema.channels import BY_NAME, CHANNELS, Channel

TOPIC_CHARS_MAX = 64


@dataclass(frozen=True, slots=True)
class Topic:
    """A parsed topic."""

    text: str
    channels: tuple[Channel, ...]
    pattern: str  # the code, or what codes must start with
    wildcard: bool

    @property
    def specificity(self) -> tuple[bool, int, int]:
        """Order topics from the vaguest to the most exact."""
        return (not self.wildcard, len(self.pattern), len(self.text))


def parse(text: str) -> Topic | None:
    """Return the topic, or None when no public channel is meant."""
    if len(text) > TOPIC_CHARS_MAX or not text.isascii():
        return None
    if text == "*":
        return Topic(text, tuple(c for c in CHANNELS if c.public), "", wildcard=True)
    name, dot, pattern = text.rpartition(".")
    channel = BY_NAME.get(name)
    if channel is None or not channel.public or not dot or not pattern:
        return None
    wildcard = pattern.endswith("*")
    pattern = pattern.removesuffix("*")
    return None if "*" in pattern else Topic(text, (channel,), pattern, wildcard)
