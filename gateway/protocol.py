"""The conversation with one client, as a function: (conversation, message, world) -> step. Pure.

No socket, no clock, no state: what a message leads to can be read and tested as a table. A message
that makes no sense gets an error frame and the connection lives on; a client that sends nothing
else, or too much, is told 4029 and closed.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import orjson

from gateway import arguments, verbs
from gateway.conversation import (
    MESSAGES_PER_SECOND_MAX,
    Conversation,
    Limits,
    Refusal,
    Said,
    State,
    Step,
    Verb,
    World,
)
from gateway.errors import ErrorCode, error

ERRORS_MAX: Final = 20  # in a row
SECOND_NS: Final = 1_000_000_000
COUNTED_BYTES: Final = 16_384  # a message counts once more for each of these

# State -> verb -> what it does. The whole conversation is here.
TABLE: Final[Mapping[State, Mapping[str, Verb]]] = {
    State.WAITING: {
        "auth": verbs.auth,
        "ping": verbs.ping,
        "sub": verbs.say_token_first,
        "set": verbs.say_token_first,
        "unsub": verbs.say_token_first,
        "replay": verbs.say_token_first,
        "list": verbs.say_token_first,
        "recent": verbs.say_token_first,
        "schema": verbs.say_token_first,
    },
    State.OPEN: {
        "auth": verbs.auth_again,
        "ping": verbs.ping,
        "sub": verbs.sub,
        "set": verbs.set_delivery,
        "unsub": verbs.unsub,
        "replay": verbs.replay,
        "list": verbs.list_all,
        "recent": verbs.recent,
        "schema": verbs.schema,
    },
}


def step(
    conversation: Conversation, message: bytes, world: World, limits: Limits, now_ns: int
) -> Step:
    """Answer one message.

    Parameters
    ----------
    conversation
        As the last step left it.
    message
        The client's text message, any bytes.
    world
        Symbols and sequence numbers.
    limits
        In force for this connection.
    now_ns
        The time: for `pong` and the rate limit.

    Returns
    -------
    Step
        Always with a reply. Never an exception for anything a client can send.
    """
    conversation = _count(conversation, len(message), now_ns)
    request_id: object = None
    try:
        if conversation.window_messages > MESSAGES_PER_SECOND_MAX:
            raise Refusal(
                ErrorCode.RATE_LIMITED, f"more than {MESSAGES_PER_SECOND_MAX} messages in a second"
            )
        request = _request(message, limits)
        request_id = arguments.request_id(request)
        head = {} if request_id is None else {"id": request_id}
        done = _verb(conversation, request)(
            conversation, Said(request, head, world, limits, now_ns)
        )
    except Refusal as refusal:
        return _refused(conversation, refusal, request_id)
    return replace(done, conversation=replace(done.conversation, errors_in_a_row=0))


def refuse(conversation: Conversation, code: ErrorCode, text: str) -> Step:
    """Answer a message that is not even read."""
    return _refused(conversation, Refusal(code, text), None)


def _refused(conversation: Conversation, refusal: Refusal, request_id: object) -> Step:
    errors = conversation.errors_in_a_row + 1
    after = replace(conversation, errors_in_a_row=errors)
    code, text, close = refusal.code, str(refusal), refusal.code if refusal.close else None
    if errors >= ERRORS_MAX and close is None:
        code = close = ErrorCode.RATE_LIMITED
        text = f"{errors} bad messages in a row, the last: {refusal}"
    return Step(after, error(code, text, request_id), bad=True, close=close)


def _count(conversation: Conversation, size: int, now_ns: int) -> Conversation:
    """Count the message in its second; a large one is as much work as several."""
    weight = 1 + size // COUNTED_BYTES
    if now_ns - conversation.window_start_ns >= SECOND_NS:
        return replace(conversation, window_start_ns=now_ns, window_messages=weight)
    return replace(conversation, window_messages=conversation.window_messages + weight)


def _request(message: bytes, limits: Limits) -> dict[str, Any]:
    if len(message) > limits.message_bytes_max:
        raise Refusal(
            ErrorCode.TOO_LARGE,
            f"message of {len(message)} bytes, limit {limits.message_bytes_max}",
        )
    try:
        request = orjson.loads(message)
    except orjson.JSONDecodeError as failure:
        raise Refusal(ErrorCode.BAD_REQUEST, f"not JSON: {failure}") from None
    if not isinstance(request, dict):
        raise Refusal(ErrorCode.BAD_REQUEST, "a message is a JSON object")
    return request


def _verb(conversation: Conversation, request: Mapping[str, Any]) -> Verb:
    verbs_now = TABLE[conversation.state]
    op = request.get("op")
    if not isinstance(op, str) or op not in verbs_now:
        raise Refusal(ErrorCode.BAD_REQUEST, f"op is one of {', '.join(verbs_now)}")
    return verbs_now[op]
