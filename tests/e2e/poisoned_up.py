"""``vntape`` with shards that have a bug (`poisoned_shard`): for tests of what happens then."""

import sys
from functools import partial

from engine.__main__ import main
from engine.wiring import supervisor

if __name__ == "__main__":
    vars(supervisor)["Supervisor"] = partial(
        supervisor.Supervisor, shard_module="tests.e2e.poisoned_shard"
    )
    sys.exit(main())
