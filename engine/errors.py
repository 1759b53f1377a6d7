"""The four kinds of trouble, and what each one does.

    bug               an assertion or any exception not listed here: the process dies, is restarted
    bad input         counted by codes.Reject, one sample kept; never an exception outside decode
    lost or late      a flag in the data and a counter; never an exception
    misconfiguration  ConfigError: refuse to start, say what to do, with the numbers

VntapeError
 +-- ConfigError       what the operator wrote or the machine offers cannot work
 +-- SchemaMismatch    two sides were built from different schemas
"""


class VntapeError(Exception):
    """Root of the errors vntape raises on purpose."""


class ConfigError(VntapeError):
    """Refuse to start. The text says what is wrong and what to do; it never holds a secret."""


class SchemaMismatch(VntapeError):
    """Bytes from another schema: refuse them, naming both ids."""
