"""What every number must mean: the rules of the Vietnamese exchanges, as dated facts.

In: a venue, a day, a second, a price, a code. Out: phases, ticks, limits, identities, days.
Owner of the memory: the caller; the tables handed out are read-only and shared.
May lose: nothing. Counts: nothing.

    venues     wire names, board lots, shown levels
    sessions   which phase it is, which phase a match belongs to, tables of both for kernels
    days       which dates trade
    ticks      tick ladders, price limits
    symbology  what a code names, when it expires, what it is worth
    units      exact value of a match

The rules are code, the facts are ``data/*.csv``: every row says from which day it is asserted
(``effective_from``), until which day (``effective_to``, inclusive, empty = still) and where it
was found (``source``). ``effective_from`` is the first day vntape vouches for the row, not
always the day the exchange made the rule: 2021-01-01 is our horizon. A day before the first
fact is given the first facts, so every function here is total.

Everything is pure: no clock is read, and the files are read once, at import.
"""
