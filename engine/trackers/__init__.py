"""Trackers: what a trader follows beside the tape itself. Each file is one Stage and its rules.

In: slots and notes, like every stage. Out: rows of the stage's channel. May lose: nothing; a slot
of an older trading date changes nothing. Counts: none of their own.

Reading order: ``trackers`` (all of them, in order), then any. ``flow``, ``limit_watch`` and
``contracts`` are what alert rules ask too; ``series`` is a day minute by minute.
"""
