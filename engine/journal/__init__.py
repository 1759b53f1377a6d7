"""The journal: every slot of a trading day on disk, as published, and back.

In: groups of slots on their way to the ring. Out: the same slots again, in order, for whoever has
to know the past: a restarted shard, one the ring has overtaken, the recorder, a replay.
Owner of the memory: callers give and take arrays of slots. May lose: what the disk refuses; that
is a hole that readers see, with its numbers. Counts: nothing itself; wiring copies what the
objects know into counters.

    records    checksums; slots as records    writer     append, go on when the disk refuses
    layout     names and heads of files       sync       fsync beside the tape
    disk       the file system behind a seam  reader     slots again, what is lost replaced and told
    survey     what is there, proved          damage     how a loss is told
    tail       the knife for torn tails       quarantine slots that must not be folded
    days       folders, about.json, retention

bite    what one append is given, a whole number of groups; in the journal whole, or not at all
hole    numbers that are in no file, because the disk refused
torn    the part of a bite at the end of the last file, of a writer that died in the middle
"""
