// Gives an older Node the WebSocket it lacks: that of `ws`, which the tests have fetched.
globalThis.WebSocket ??= require("../../.venv/node/node_modules/ws").WebSocket;
