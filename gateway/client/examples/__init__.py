"""Small programs that use the client; tests/client runs each of them against a live gateway."""
