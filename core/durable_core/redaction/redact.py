"""A history that can be shown to others: as large and as shaped as before, all invented. Pure.

Kept is what a table names (`fields`), and only where its value can be nothing else
(`plain_values`): statuses, moments, durations and counts, types of events and errors, the names of
functions, executions and operations (but for `identifiers` in them), the names of fields in
payloads, and of the stored result of a map or parallel what its SDK wrote of how units ended
(`summary_shapes`). Everything else becomes a stand-in, of fields that aren't known the names too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final

from durable_core.redaction.document_facts import Facts, Json, events_of, facts_of, fake_accounts
from durable_core.redaction.fakes import Disguise, Fakes, Originals
from durable_core.redaction.fields import Redaction
from durable_core.redaction.keep_paths import KeepPath
from durable_core.redaction.summary_shapes import form_of
from durable_core.wire import REDACTED


def redact(
    document: Json, keep: Sequence[KeepPath] = (), key: bytes | None = None
) -> dict[str, Any]:
    """Return the history document with everything replaced that could be secret.

    `document` is as `GetDurableExecutionHistory` answers it, with the fields of GetDurableExecution
    beside the events. The same text gets the same stand-in wherever it stands; `key` decides which
    (None: one that follows from the document). The result says that it is redacted, and which names
    were kept.
    """
    key = redaction_key(document) if key is None else key
    facts = facts_of(document)
    originals = Originals()
    Redaction(originals, keep, facts).document(document)
    fakes = Fakes(key, originals.texts, fake_accounts(document))
    redaction = Redaction(fakes, keep, facts)
    redacted = redaction.document(document)
    kept = redaction.kept.named(fakes.fields_kept())
    return {REDACTED: {"Kept": [each.text for each in keep], **kept}, **redacted}


def look_over(
    payload: str,
    disguise: Disguise,
    names: Sequence[str | None],
    keep: Sequence[KeepPath],
    sub_type: str | None = None,
) -> None:
    """Show the disguise what a redaction replaces in a payload of the operation of that name or
    id."""
    form = form_of(sub_type, payload, None)
    Redaction(disguise, keep, Facts()).payload(payload, tuple(names), form)


def redaction_key(document: Json) -> bytes:
    """Return a key that nobody can work out who doesn't have the document.

    That is so because of the request ids in it, which are random and don't survive. The same
    document always gives the same key.
    """
    text = json.dumps(document, sort_keys=True)
    return blake2b(text.encode("ascii"), digest_size=_KEY_BYTES, person=b"durable.redact").digest()


def key_for(document: Json, chance: Callable[[int], bytes]) -> bytes:
    """Return the key for a document and for the executions that are redacted with it: one that
    follows from it where nobody can guess that, else `chance` draws one (it returns that many
    random bytes): its texts could be guessed from their stand-ins."""
    return redaction_key(document) if has_secret_ids(document) else chance(_KEY_BYTES)


_KEY_BYTES: Final = 32


def has_secret_ids(document: Json) -> bool:
    """Tell whether the document has a request id, without which its key could be guessed."""
    invocations = (event.get("InvocationCompletedDetails") for event in events_of(document))
    return any(isinstance(each, Mapping) and each.get("RequestId") for each in invocations)
