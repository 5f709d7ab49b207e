"""Ids that are made, not drawn: tokens, request ids and callback ids are hashes of the execution's
ARN and a counter, in the shapes that the service model (botocore 1.44) asks for."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256


def _digest(*parts: object) -> bytes:
    return sha256("|".join(map(str, parts)).encode()).digest()


def made_token(*parts: object) -> str:
    """Return a text in the shape of a checkpoint token or callback id, made from the parts."""
    return b64encode(_digest(*parts)).decode()


def made_uuid(*parts: object) -> str:
    """Return a text in the shape of a random UUID, made from the parts."""
    text = _digest(*parts).hex()
    variant = "89ab"[int(text[16], 16) & 3]
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{variant}{text[17:20]}-{text[20:32]}"
