"""The ring: slots from ingest to one shard, across processes, without anybody waiting.

In      slots in the caller's memory (`RingWriter.publish`), whole groups at a time
Out     slots in the reader's own memory (`RingReader.poll`), a whole number of groups
Owner   the segment belongs to the supervisor; header cells and slots have one writing side each
        (layout.py says which); what `publish` is given stays the caller's, what `poll` fills is
        the reader's
May lose
        what a slow reader has not read: the writer overwrites the oldest slots and never waits.
        The reader notices by sequence number, never returns torn slots, and resumes at the first
        whole group that is safe
Counts  `RingReader.lapped_slots`, exactly the sequence numbers skipped; `lag_slots` on both sides

seq     number of a slot since the ring was made: 0, 1, 2 ...; never wraps (int64)
index   where it lies: seq & (capacity - 1)
group   what belongs together: at most GROUP_SLOTS_MAX slots, the last one flagged SlotFlag.LAST;
        published by one store, so that no reader ever sees a part of it

Sync points. Each is labelled in the code at both ends; check the algorithm by pairing labels.

    W1  writer  intent_seq, then a release fence      PAIRS WITH  R2
    W2  writer  write_seq, release                    PAIRS WITH  R1
    W3  writer  seq_cst fence, then reads parked      PAIRS WITH  R4
    W4  writer  read_seq, acquire (pacing sources)    PAIRS WITH  R3
    R1  reader  write_seq, acquire                    PAIRS WITH  W2
    R2  reader  acquire fence, then reads intent_seq  PAIRS WITH  W1
    R3  reader  read_seq, release                     PAIRS WITH  W4
    R4  reader  parked, then a seq_cst fence          PAIRS WITH  W3
    F1  format  schema, release                       PAIRS WITH  F2
    F2  view    schema, acquire                       PAIRS WITH  F1
"""
