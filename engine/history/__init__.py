"""History: rows of the tape as Parquet, and questions about them in SQL.

In: rows of channels, from the recorder. Out: segments on disk; tables of rows. Owner of the memory:
Arrow's, and DuckDB's within its limit. May lose: nothing that was committed; what is in no segment
yet is the recorder's tail. Counts: files and bytes written (segments), answers (tail), questions
without a tail (query); damage is told with its place.

    tables      which channels are kept, and how rows become columns
    catalogue   records of what is committed, and the rule which of them count
    files       written whole or not at all; compared with their checksums
    segments    rows committed, all or nothing; recovered, checked, swept
    compaction  many small files become few, and one per table and day after the close
    tail        the recorder's unwritten rows, over a local socket
    duck        DuckDB in memory, shut in; SQL that can only read
    views       committed files and the tail, each row once
    soundness   which files can be trusted
    select      one page of a table: arguments, order, cursor
    query       the questions themselves
    formats     answers as CSV, JSON and other bytes
"""
