"""Tools around the engine: the front door, the demo, the simulator of SSI's server."""
