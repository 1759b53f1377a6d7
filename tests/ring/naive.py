"""The naive twin of the ring: everything ever published in one list, losses by arithmetic."""

from engine.ring.layout import GROUP_SLOTS_MAX, RESUME_MARGIN_SHIFT


class NaiveRing:
    """Remembers all slots; says which of them a ring of `capacity` would still have."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.slots: list[tuple[int, bool]] = []  # payload, ends a group
        self.intent_seq = 0

    def publish(self, payloads: list[int]) -> None:
        for at in range(0, len(payloads), GROUP_SLOTS_MAX):
            group = payloads[at : at + GROUP_SLOTS_MAX]
            self.slots += [(payload, i == len(group) - 1) for i, payload in enumerate(group)]
        self.announce(0)

    def announce(self, count: int) -> None:
        """A writer meant to write `count` more; it may have died over it."""
        self.intent_seq = max(self.intent_seq, len(self.slots) + count)

    def oldest_group(self, margin: int) -> int:
        spoilt = self.intent_seq - self.capacity
        if spoilt <= 0:
            return 0
        for seq in range(spoilt + margin, len(self.slots)):
            if self.slots[seq][1]:
                return seq + 1
        return len(self.slots)


class NaiveReader:
    """Reads a `NaiveRing` by the rules of RingReader, in words instead of atomics."""

    def __init__(self, ring: NaiveRing, start: str | int) -> None:
        self.ring = ring
        self.lapped_slots = 0
        if isinstance(start, int):
            self.read_seq = start
        else:
            self.read_seq = ring.oldest_group(0) if start == "oldest" else len(ring.slots)

    def poll(self, room: int) -> list[tuple[int, int, bool]]:
        """Return (seq, payload, ends a group) of the next whole groups."""
        ring = self.ring
        if self.read_seq < ring.intent_seq - ring.capacity:
            resume = ring.oldest_group(ring.capacity >> RESUME_MARGIN_SHIFT)
            self.lapped_slots += resume - self.read_seq
            self.read_seq = resume
        taken = [
            (seq, *ring.slots[seq])
            for seq in range(self.read_seq, min(len(ring.slots), self.read_seq + room))
        ]
        while taken and not taken[-1][2]:
            taken.pop()
        self.read_seq += len(taken)
        return taken
