"""An instance whose ingest and shards are idle: ``python -m tests.e2e.idle_instance KEY=VALUE``."""

import sys

import uvloop

from engine import config as configuration
from engine.clock import Clock
from engine.config import Config
from engine.errors import ConfigError
from engine.process import EX_CONFIG
from engine.wiring.supervisor import Supervisor

IDLE = "tests.e2e.idle_role"


class IdleInstance(Supervisor):
    """A supervisor of idle roles. Nobody needs a kernel, so none is compiled first."""

    def __init__(self, config: Config, clock: Clock | None = None) -> None:
        super().__init__(config, ingest_module=IDLE, shard_module=IDLE, clock=clock)

    async def _warm_kernels(self) -> None:
        pass


def main() -> int:
    try:
        config = configuration.load(environ={}, overrides=sys.argv[1:])
        uvloop.run(IdleInstance(config).run())
    except ConfigError as error:
        print(f"vntape: {error}", file=sys.stderr)
        return EX_CONFIG
    return 0


if __name__ == "__main__":
    sys.exit(main())
