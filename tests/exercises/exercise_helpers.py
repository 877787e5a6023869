"""What several of these tests need."""

import re

import torch


def sentences(text):
    return len(re.findall(r"[.?!](?=\s+[A-Z(`]|$)", text))


def made_by_exec(text):
    scope = {"torch": torch}
    exec(text, scope)
    return next(value for name, value in scope.items() if name not in ("torch", "__builtins__"))
