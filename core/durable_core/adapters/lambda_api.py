"""The calls of the Lambda API that read executions. The only importer of boto3.

Read-only: of the API's operations three are called, and nothing here starts, stops, signals or
checkpoints an execution. Answers are taken from the bytes that the service sent, so that a field
that the installed botocore doesn't know isn't lost. Whatever goes wrong becomes one `AwsError`.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

from durable_core._version import __version__
from durable_core.adapters.bounded_calls import (
    DRIP_FACTOR,
    Sent,
    TooMuch,
    TooSlow,
    body_of,
    ended_within,
)
from durable_core.adapters.connection import Connection
from durable_core.adapters.lambda_errors import Answer, ApiCall, error_code, is_cut, translate
from durable_core.arns import (
    EXPECTED,
    is_local_execution,
    parse_execution_arn,
    region_of_function,
)
from durable_core.errors import AwsError, UsageError, WireError
from durable_core.frozen import dataclass
from durable_core.wire import describe, events_from_wire
from durable_core.wire.values import required_text

MIN_BOTOCORE: Final = "1.42.1"
"""The first botocore whose model of Lambda has durable executions."""

PAGE_ITEMS: Final = 1000
"""The most that one page of events or executions may hold (shape `ItemCount`)."""

_CUT_ATTEMPTS: Final = 3
"""How often a request is sent whose answer breaks off: botocore doesn't see that."""

_EXECUTIONS: Final = "DurableExecutions"
_EXECUTION_DATA: Final = frozenset({"InputPayload", "Result", "Error"})
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_LOCAL_REGION: Final = "us-east-1"
_OPERATIONS: Final = {
    "get_durable_execution": "GetDurableExecution",
    "get_durable_execution_history": "GetDurableExecutionHistory",
    "list_durable_executions_by_function": "ListDurableExecutionsByFunction",
}


@dataclass(frozen=True, slots=True)
class ApiPage:
    """One page of events or executions, as sent, and the marker of the next one. `size` is the
    bytes of the answer."""

    items: list[dict[str, Any]]
    marker: str | None
    size: int = 0


@dataclass(frozen=True, slots=True)
class ExecutionQuery:
    """Which executions of a function to list."""

    function_name: str
    qualifier: str | None = None
    name: str | None = None
    statuses: tuple[str, ...] = ()
    started_after: datetime | None = None
    started_before: datetime | None = None
    newest_first: bool = False


class MarkerRefused(AwsError):
    """The service no longer knows the marker of a page: it lives for 24 hours."""


class Pace:
    """Lets one request go at a time, so many a second, whichever thread sends it.

    `clock` and `sleep` are in seconds.
    """

    def __init__(
        self,
        max_rate: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._interval = 1 / max_rate
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._next = 0.0

    def wait(self) -> None:
        """Return when the next request may be sent."""
        with self._lock:
            now = self._clock()
            at = max(now, self._next)
            self._next = at + self._interval
        if at > now:
            self._sleep(at - now)


class LambdaApi:
    """The service, reached over one connection. May be used by several threads."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._pace = Pace(connection.max_rate)
        self._lock = threading.Lock()
        self._session: Any = None
        self._clients: dict[str | None, Any] = {}
        self._answers = threading.local()

    @property
    def is_local(self) -> bool:
        """True when the endpoint is on this machine: a local runner, and not AWS."""
        return urlsplit(self._connection.endpoint).hostname in _LOOPBACK

    def execution(self, arn: str, *, include_data: bool = True) -> dict[str, Any]:
        """Return what GetDurableExecution says of the execution. Raises AwsError.

        Without data its input, result and error are left out, also where botocore can't ask so.
        """
        if parse_execution_arn(arn) is None and not is_local_execution(arn):
            raise AwsError(arn, "not the ARN of a durable execution", f"expected {EXPECTED}")
        parameters = {"DurableExecutionArn": arn, "IncludeExecutionData": include_data}
        answer, call, _ = self._ask(arn, "get_durable_execution", parameters)
        if not isinstance(answer.get("Status"), str):
            raise call.unexpected(f"no Status in {_keys_of(answer)}")
        if include_data:
            return answer
        return {name: value for name, value in answer.items() if name not in _EXECUTION_DATA}

    def history_page(
        self,
        arn: str,
        marker: str | None = None,
        *,
        include_data: bool = True,
        newest_first: bool = False,
        items: int = PAGE_ITEMS,
    ) -> ApiPage:
        """Return one page of events. Raises AwsError, MarkerRefused for a marker that expired."""
        parameters: dict[str, Any] = {
            "DurableExecutionArn": arn,
            "IncludeExecutionData": include_data,
            "MaxItems": items,
        }
        if newest_first:
            parameters["ReverseOrder"] = True
        return self._page(arn, "get_durable_execution_history", parameters, marker, "Events")

    def executions_page(self, query: ExecutionQuery, marker: str | None, items: int) -> ApiPage:
        """Return one page of the executions of a function. Raises AwsError."""
        optional = {
            "Qualifier": query.qualifier,
            "DurableExecutionName": query.name,
            "Statuses": list(query.statuses) or None,
            "StartedAfter": query.started_after,
            "StartedBefore": query.started_before,
            "ReverseOrder": query.newest_first or None,
        }
        parameters: dict[str, Any] = {
            "FunctionName": query.function_name,
            "MaxItems": items,
            **{name: value for name, value in optional.items() if value is not None},
        }
        method = "list_durable_executions_by_function"
        return self._page(query.function_name, method, parameters, marker, _EXECUTIONS)

    # -- one call --------------------------------------------------------------------------------

    def _page(
        self,
        subject: str,
        method: str,
        parameters: dict[str, Any],
        marker: str | None,
        name: str,
    ) -> ApiPage:
        if marker is not None:
            parameters["Marker"] = marker
        answer, call, size = self._ask(subject, method, parameters)
        items, following = answer.get(name), answer.get("NextMarker")
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise call.unexpected(f"no list of {name} in {_keys_of(answer)}")
        if following is not None and not isinstance(following, str):
            raise call.unexpected(f"NextMarker is {describe(following)}")
        try:
            _check(name, items)
        except WireError as error:
            raise call.unexpected(str(error)) from None
        return ApiPage(items, following or None, size)

    def _ask(
        self, subject: str, method: str, parameters: dict[str, Any]
    ) -> tuple[dict[str, Any], ApiCall, int]:
        """Return what was answered, to which call, and how many bytes it has. Raises AwsError."""
        client = self._client(subject)
        known = client.meta.service_model.operation_model(_OPERATIONS[method]).input_shape.members
        parameters = {name: value for name, value in parameters.items() if name in known}
        call = ApiCall(
            subject,
            _OPERATIONS[method],
            str(client.meta.region_name),
            str(client.meta.endpoint_url),
            has_own_endpoint=bool(self._connection.endpoint),
        )
        seconds = self._connection.timeout_seconds * DRIP_FACTOR
        for _ in range(_CUT_ATTEMPTS):
            try:
                answer = ended_within(
                    seconds, lambda sent: self._answer(client, method, parameters, call, sent)
                )
            except TooSlow:
                problem = (
                    f"the answer didn't end within {seconds:g} s, {DRIP_FACTOR} times --timeout"
                )
                raise AwsError(subject, problem, "try again, or with a longer --timeout") from None
            except TooMuch as error:
                problem = f"the answer has {error}, which no answer of Lambda has"
                raise AwsError(subject, problem, "check --endpoint-url") from None
            if not is_cut(answer):
                return call.parsed(*answer), call, len(answer[2])
        raise AwsError(subject, "the answer was cut off, again and again", "try again later")

    def _answer(
        self, client: Any, method: str, parameters: dict[str, Any], call: ApiCall, sent: Sent
    ) -> Answer:
        """Return what was answered last, after botocore's retries. Raises AwsError, TooMuch."""
        from botocore.exceptions import BotoCoreError, ClientError

        self._answers.last, self._answers.sent = None, sent
        try:
            getattr(client, method)(**parameters)
        except (BotoCoreError, ClientError) as error:
            translated = translate(error, call, self._answers.last)
            if "Marker" in parameters and error_code(error) == "InvalidParameterValueException":
                raise MarkerRefused(call.subject, translated.problem, translated.advice) from None
            raise translated from None
        except TooMuch:
            raise
        except Exception:
            # botocore stumbles over some answers; what is wrong with them is found here too.
            if self._answers.last is None:
                raise
            if self._answers.last[0] >= 300:
                raise call.not_lambda(*self._answers.last[:2]) from None
        answer, self._answers.last = self._answers.last, None
        return answer or (0, {}, b"")

    # -- clients ---------------------------------------------------------------------------------

    def _client(self, subject: str) -> Any:
        arn = parse_execution_arn(subject)
        region = (
            self._connection.region or (arn.region if arn else None) or region_of_function(subject)
        )
        with self._lock:
            if region not in self._clients:
                self._clients[region] = self._new_client(subject, region)
            return self._clients[region]

    def _new_client(self, subject: str, region: str | None) -> Any:
        try:
            import boto3
            from botocore import UNSIGNED
            from botocore.config import Config
            from botocore.exceptions import (
                BotoCoreError,
                InvalidRegionError,
                NoRegionError,
                ProfileNotFound,
            )
        except ImportError:
            raise UsageError("asking AWS needs boto3: pip install boto3") from None
        connection = self._connection
        try:
            if self._session is None:
                self._session = boto3.Session(profile_name=connection.profile)
            region = region or os.environ.get("AWS_REGION") or self._session.region_name
            if region is None and self.is_local:
                region = _LOCAL_REGION
            unsigned = self.is_local and self._session.get_credentials() is None
            client = self._session.client(
                "lambda",
                region_name=region,
                endpoint_url=connection.endpoint_url,
                config=Config(
                    connect_timeout=min(connection.timeout_seconds, 10),
                    read_timeout=connection.timeout_seconds,
                    retries=self._retries(),
                    user_agent_extra=f"durable-cli/{__version__}",
                    **({"signature_version": UNSIGNED} if unsigned else {}),
                ),
            )
        except NoRegionError:
            raise UsageError(f"{subject}: no region: use --region or AWS_REGION") from None
        except ProfileNotFound as error:
            raise UsageError(f"{subject}: {error}: check --profile and AWS_PROFILE") from None
        except InvalidRegionError as error:
            said = str(error).rstrip(".")
            raise UsageError(f"{subject}: {said}: expected one such as eu-west-1") from None
        except ValueError as error:
            said = str(error)
            if "endpoint" in said:
                said += ": expected a URL such as http://127.0.0.1:5000"
            raise UsageError(f"{subject}: {said}") from None
        except BotoCoreError as error:
            raise translate(error, ApiCall(subject, "", region or "", ""), None) from None
        self._check_age(client, subject)
        client._endpoint.http_session = _Bounded(client._endpoint.http_session)
        client.meta.events.register("before-send.lambda", self._before_send)
        client.meta.events.register("before-parse.lambda", self._before_parse)
        return client

    def _retries(self) -> dict[str, Any]:
        """Return botocore's standard retries, more of them unless the user says how many."""
        configured = self._session._session.get_scoped_config().get("max_attempts")
        attempts = self._connection.attempts
        if attempts is None and not configured and "AWS_MAX_ATTEMPTS" not in os.environ:
            attempts = 6
        count = {} if attempts is None else {"total_max_attempts": attempts}
        return {"mode": "standard", **count}

    def _check_age(self, client: Any, subject: str) -> None:
        missing = [name for name in _OPERATIONS if name not in client.meta.method_to_api_mapping]
        if missing:
            import botocore

            raise UsageError(
                f"botocore {botocore.__version__} knows nothing of durable executions: "
                f"expected {MIN_BOTOCORE} or later (pip install -U boto3)"
            )

    def _before_send(self, **_: Any) -> None:
        self._pace.wait()
        self._answers.sent.now()

    def _before_parse(self, response_dict: Mapping[str, Any], **_: Any) -> None:
        """Keep what was sent: botocore takes HTML for an empty answer and drops unknown fields."""
        self._answers.last = (
            response_dict["status_code"],
            response_dict["headers"],
            response_dict["body"],
        )


class _Bounded:
    """botocore's HTTP session, which would read any answer whole, however large it is."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def send(self, request: Any) -> Any:
        from botocore.exceptions import ConnectionClosedError, ReadTimeoutError
        from urllib3.exceptions import HTTPError
        from urllib3.exceptions import ReadTimeoutError as SlowRead

        request.stream_output = True
        response = self._session.send(request)
        try:
            response._content = body_of(response.raw)
        except SlowRead as error:
            raise ReadTimeoutError(endpoint_url=request.url, error=error) from error
        except HTTPError as error:
            raise ConnectionClosedError(
                error=error, request=request, endpoint_url=request.url
            ) from error
        return response

    def close(self) -> None:
        self._session.close()


def _check(name: str, items: list[dict[str, Any]]) -> None:
    """Raise WireError for an item that isn't what its list promises."""
    if name != _EXECUTIONS:
        events_from_wire(items)
        return
    for index, item in enumerate(items):
        required_text(item, "DurableExecutionArn", f"{name}[{index}]")


def _keys_of(answer: Mapping[str, Any]) -> str:
    names = ", ".join(repr(str(name)[:40]) for name in list(answer)[:4])
    return f"an object with {names}" if names else "an empty object"
