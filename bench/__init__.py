"""Benches: each checks its answer, runs small in the tests, and prints JSON."""
