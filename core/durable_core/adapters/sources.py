"""From whatever a command takes as SOURCE to a history: a file, standard input or an ARN."""

from __future__ import annotations

import os.path
from typing import TYPE_CHECKING, Final

from durable_core.adapters.documents import MAX_TEXT_BYTES
from durable_core.adapters.history_file import history_of_document, load_history
from durable_core.arns import EXPECTED, is_local_execution, parse_execution_arn
from durable_core.errors import UsageError
from durable_core.history import RecordedHistory

if TYPE_CHECKING:
    from durable_core.adapters.connection import Connection
    from durable_core.adapters.updates_file import UpdateStream

_ARN: Final = "arn:"


def is_execution(source: str, endpoint: str = "") -> bool:
    """Tell whether a source is an execution in AWS rather than a file.

    How AWS's local runner calls its executions counts only where an endpoint was chosen, and where
    no such file exists. Raises UsageError for one of them without an endpoint, and for an ARN that
    is none of an execution: nothing of it is ever sent.
    """
    if parse_execution_arn(source) is not None:
        return True
    if is_local_execution(source) and not os.path.exists(source):  # noqa: PTH110
        if endpoint:
            return True
        what = "an execution of AWS's local runner, by its looks"
        raise UsageError(f"{source}: {what}: --endpoint-url says where it listens")
    if source.startswith(_ARN) and not os.path.exists(source):  # noqa: PTH110
        raise UsageError(f"{source}: not the ARN of a durable execution: expected {EXPECTED}")
    return False


class Sources:
    """Reads sources, those in AWS over one connection. boto3 is imported when one of them is.

    `max_text_bytes` is the most that is read of a file, unpacked.
    """

    def __init__(self, connection: Connection, max_text_bytes: int = MAX_TEXT_BYTES) -> None:
        self._connection = connection
        self._max_text_bytes = max_text_bytes
        self._api: object = None

    def history(self, source: str) -> RecordedHistory:
        """Return the history of a source. Raises SourceError, UsageError, AwsError."""
        if not is_execution(source, self._connection.endpoint):
            return load_history(source, self._max_text_bytes)
        return self._fetched(source)

    def updates(self, source: str) -> UpdateStream:
        """Return the updates of a source. Raises SourceError, UsageError, AwsError."""
        from durable_core.adapters.updates_file import UpdateStream, load_updates

        if not is_execution(source, self._connection.endpoint):
            return load_updates(source)
        return UpdateStream(source, history=self._fetched(source))

    def _fetched(self, arn: str) -> RecordedHistory:
        from durable_core.adapters.downloads import download
        from durable_core.adapters.lambda_api import LambdaApi

        if not isinstance(self._api, LambdaApi):
            self._api = LambdaApi(self._connection)
        return history_of_document(arn, download(self._api, arn).to_wire())
