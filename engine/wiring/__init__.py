"""Where the rooms meet. Nothing else imports two of them.

intake        frames and notices -> slots -> rings         (used by ingest, replay and local)
notices       what enters beside frames, written as slots
recorded      what enters, as records of a recording and back
ingest        process: what it is made of, for v2 and v3
ingest_loop   its loop: a source drives it, FeedHealth is asked here
rest_data     reference data, and REST's answers about gaps, beside the tape
replay        process: a recording -> intake, in place of ingest; and `vntape replay`
shard         process: ring -> stages -> bus
accounts      a shard asks about its gaps and leaves certificates
day_books     what one shard knows of a day: the facts of a certificate
certificate   the parts of all shards merged, and the verdict; certificate_cli prints it
local         the same parts in one process, with a manual clock
supervisor    process: owns shared memory, starts and restarts everybody (`children`)
status        its status line
time_travel   process: a client's journey through today's journals, up to live (travel, shard_past)
shard_map     which shard a symbol lives on
warm          compiles every kernel
verify_day    compares closing statistics with a published table (`published`, `replay_day`)
"""
