"""Bodies of requests within limits of size and time, before anything reads them whole into memory."""

import asyncio

from fastapi import HTTPException
from starlette.types import Message, Receive

MOST_BYTES = 8 << 20
"""Most bytes of a body that is no part: a rule book or a calibration of 1 MB, as JSON."""
MOST_BYTES_OF_STRANGERS = 1 << 16
"""Likewise, of somebody who has shown no token: a token."""
LONGEST_S = 60.0
"""Longest time in which such a body must have arrived, in seconds."""


def bounded_receive(receive: Receive, *, most: int, within_s: float = LONGEST_S) -> Receive:
    """Return a `receive` that raises HTTPException: 413 beyond `most` bytes, 408 after `within_s` seconds from now.

    Once the body has arrived it waits as long as it takes, for the client to leave.
    """
    end = asyncio.get_running_loop().time() + within_s
    received, has_arrived = 0, False

    async def receive_bounded() -> Message:
        nonlocal received, has_arrived
        if has_arrived:
            return await receive()
        try:
            async with asyncio.timeout_at(end):
                message = await receive()
        except TimeoutError as error:
            raise HTTPException(408, f"the request did not arrive within {within_s:g} s") from error
        received += len(message.get("body", b""))
        if received > most:
            raise too_large(most)
        has_arrived = not message.get("more_body", False)
        return message

    return receive_bounded


def is_too_long(content_length: str, most: int) -> bool:
    """Return whether a request says itself that its body is longer than `most` bytes."""
    return content_length.isdecimal() and int(content_length) > most


def too_large(most: int) -> HTTPException:
    """Return the refusal of a body of more than `most` bytes."""
    return HTTPException(413, f"a request takes at most {most / (1 << 20):.3g} MB here")
