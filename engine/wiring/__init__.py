"""Where the rooms meet. Nothing else imports two of them.

intake      frames -> slots -> rings           (used by ingest and local)
ingest      process: SSI's socket -> intake
shard       process: ring -> stages -> bus
local       the same parts in one process, with a manual clock
supervisor  process: owns shared memory, starts and restarts everybody
verify_day  compares closing statistics with a published table
"""
