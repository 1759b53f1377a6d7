"""Raw frames of the feed to slots: a scanner for the feed's own spelling, an oracle for the rest.

In: a FrameBatch of frames, SignalR's (v2) or plain JSON (v3). Out: slots (schema.slots), symbols
introduced. What comes out means the same for both protocols.
Owner of the memory: the caller; the symbol table lives in its own segment.
May lose: nothing silently; every message ends as slots or as one counted rejection.
Counts: messages, slots, oracle_frames, rejected by reason, keepalives, hub_errors, symbols.

Read in this order: fields (what each message says), frames, oracle (what a frame means), decoder;
then the fast path: words, numbers, dates, grammar, scanner. The v3_ files of the same names say it
for v3. Both oracles build on frame_oracle, values and outcome; both scanners on scalars and scan.
"""
