"""What goes through the pipe to and from a process that runs somebody's code: plain data, framed.

Requests of the grader are trusted. Replies come from a process that nobody trusts: they are JSON, and all of their form
is checked before anything is made of them.
"""

import base64
import io
import json
import os
import selectors
import time
from dataclasses import asdict
from typing import Any, BinaryIO

import numpy as np
import torch

from vae_course.exercises.attempt import LARGEST, Case, Outcome, Value

LONGEST = 16 * 2**20  # bytes of a reply
LONGEST_TEXT = 50_000  # characters of a text in it: messages look for patterns in texts
MOST_AXES = 64  # of a tensor, as NumPy allows
TYPES = ("float64", "complex128")


def send(pipe: BinaryIO, message: dict[str, Any]) -> None:
    """Write a message, its length first."""
    content = json.dumps(message).encode()
    pipe.write(len(content).to_bytes(8, "big") + content)
    pipe.flush()


def receive(pipe: BinaryIO, longest: int = LONGEST) -> dict[str, Any]:
    """Read a message of so many bytes at most.

    Raises
    ------
    ValueError
        If what comes is too long, is cut off, or is no message.
    """
    length = int.from_bytes(pipe.read(8), "big")
    if not 0 < length <= longest:
        raise ValueError("no message, or one that is too long")
    try:
        message = json.loads(pipe.read(length))
    except RecursionError as error:
        raise ValueError("lists in lists without end") from error
    if not isinstance(message, dict):
        raise ValueError("no message")
    return message


def listen(descriptor: int, deadline: float, before: int = 0) -> tuple[bytes, bool]:
    """Read what a child says, to the end of a message or of its pipe, or the beginning of what is too long.

    Parameters
    ----------
    descriptor
        Of the pipe.
    deadline
        By `time.monotonic`.
    before
        Bytes that it says before its message.

    Returns
    -------
    said, in_time
        Whatever came, and whether that was in time.
    """
    said = bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        while (left := deadline - time.monotonic()) > 0:
            if selector.select(left):
                chunk = os.read(descriptor, 2**20)
                said += chunk
                if not chunk or len(said) > LONGEST or _is_whole(said[before:]):
                    return bytes(said), True
    return bytes(said), False


def _is_whole(said: bytes | bytearray) -> bool:
    """Whether these bytes hold a message to its end."""
    return len(said) >= 8 and len(said) >= 8 + int.from_bytes(said[:8], "big")


def pack_cases(cases: list[Case]) -> str:
    """Turn cases, made of tensors and plain data, into text."""
    file = io.BytesIO()
    torch.save([(case.label, case.arguments, case.values_only) for case in cases], file)
    return base64.b64encode(file.getvalue()).decode()


def unpack_cases(text: str) -> list[Case]:
    """Undo `pack_cases`."""
    packed = torch.load(io.BytesIO(base64.b64decode(text)), weights_only=True)
    return [Case(label, tuple(arguments), values_only) for label, arguments, values_only in packed]


def pack_outcomes(outcomes: list[Outcome]) -> list[dict[str, Any]]:
    """Turn outcomes into what JSON can hold."""
    packed = [asdict(outcome) for outcome in outcomes]
    for outcome in packed:
        del outcome["warning"]  # which is written on the other side
        for value in (*outcome["values"].values(), *outcome["gradients"].values()):
            if value["tensor"] is not None:
                array = value["tensor"].numpy()
                value["tensor"] = {"type": str(array.dtype), "data": base64.b64encode(array.tobytes()).decode()}
    return packed


def unpack_outcomes(packed: Any, n_cases: int) -> list[Outcome]:
    """Undo `pack_outcomes`, trusting nothing.

    Raises
    ------
    ValueError
        If these are not the outcomes of so many cases.
    """
    if not isinstance(packed, list) or len(packed) != n_cases:
        raise ValueError("outcomes of another number of cases")
    try:
        return [_outcome(**one) for one in packed]
    except (TypeError, AttributeError, LookupError, RuntimeError) as error:
        raise ValueError("no outcomes") from error


def _outcome(values: dict, gradients: dict, changed: list, error: str, reason: str, line: str) -> Outcome:
    if not isinstance(changed, list):
        raise ValueError("no list")
    return Outcome(
        {name: _value(**value) for name, value in values.items()},
        {name: _value(**value) for name, value in gradients.items()},
        [readable(name) for name in changed], readable(error), readable(reason), readable(line),
    )  # fmt: skip


def _value(kind: str, shape: list, dtype: str, tensor: dict | None, text: str) -> Value:
    if len(shape) > MOST_AXES or not all(type(n) is int and 0 <= n < 2**63 for n in shape):
        raise ValueError("no shape")
    if tensor is None:
        return Value(readable(kind), tuple(shape), readable(dtype), None, readable(text))
    if tensor["type"] not in TYPES:
        raise ValueError("no numbers")
    array = np.frombuffer(base64.b64decode(tensor["data"], validate=True), dtype=tensor["type"])
    if max(array.size, *shape, 0) > LARGEST:  # an axis may be long where another has length 0
        raise ValueError("too many numbers")
    return Value(
        readable(kind), tuple(shape), readable(dtype), torch.from_numpy(array.reshape(shape).copy()), readable(text)
    )


def readable(text: Any) -> str:
    """Return a text, cut off if it is very long, that can be printed: without lone surrogates.

    Raises
    ------
    ValueError
        If it is none.
    """
    if not isinstance(text, str):
        raise ValueError("no text")
    return text[:LONGEST_TEXT].encode(errors="backslashreplace").decode()
