"""Alerts: what a trader wants to be told at once. One rule a file, one stage that asks them all.

In: slots and notes, like every stage; for the operator's own rules, the rows of a group. Out: rows
of channel ``alerts``. May lose: an alert of the same type and symbol within ``alerts.repeat_s``,
on purpose. Counts: none of their own; a shard counts the rows.

Reading order: ``stage`` (asks the rules and keeps order), the rules one by one, ``expressions`` and
``rulebook`` (the operator's own rules), ``sentences`` (how an alert reads, in two languages).
"""
