"""The tape over HTTP: the market as it is, history, health and metrics.

A process of its own: it follows the bus like a gateway, so what is asked here never slows the tape.
"""
