"""Judges messages by the AsyncAPI document, as a client's validator would."""

from functools import cache

import orjson
from jsonschema import Draft7Validator

from gateway.asyncapi import document


@cache
def doc():
    return orjson.loads(orjson.dumps(document("ws://127.0.0.1:8765")))


@cache
def validator(name, of="messages"):
    """Judges by a message's payload, or by a schema, of the document."""
    at = f"#/components/{of}/{name}" + ("/payload" if of == "messages" else "")
    return Draft7Validator({"$ref": at, "components": doc()["components"]})


def fits(name, message, of="messages"):
    return validator(name, of).is_valid(message)


def reason(name, message):
    """What is wrong with a message, None when nothing is."""
    return next((error.message for error in validator(name).iter_errors(message)), None)
