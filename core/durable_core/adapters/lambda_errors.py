"""What each failure of a call means, and what the user can do about it, in one line.

A table by the names of exceptions and error codes; it needs no import of botocore.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import orjson

from durable_core.errors import AwsError
from durable_core.frozen import dataclass

Answer = tuple[int, Mapping[str, Any], Any]
"""The HTTP status, the headers and the body of the last answer."""

_NO_CREDENTIALS = ("no credentials", "set them up with `aws configure`, or choose a --profile")
_EXPIRED = ("the credentials have expired", "renew them (`aws sso login`, `aws login`, new keys)")
_UNKNOWN_CREDENTIALS = (
    "AWS doesn't accept these credentials",
    "check the keys, the --profile and this machine's clock",
)
_NOT_REACHED = "check the network, the region and --endpoint-url"
_LATER = "try again later"

_CODES: Final[Mapping[str, tuple[str, str]]] = {
    **dict.fromkeys(("ExpiredTokenException", "ExpiredToken", "RequestExpired"), _EXPIRED),
    **dict.fromkeys(
        (
            "UnrecognizedClientException",
            "InvalidClientTokenId",
            "InvalidSignatureException",
            "SignatureDoesNotMatch",
            "MissingAuthenticationToken",
            "MissingAuthenticationTokenException",
            "IncompleteSignatureException",
            "IncompleteSignature",
            "InvalidAccessKeyId",
        ),
        _UNKNOWN_CREDENTIALS,
    ),
}
_ACCESS_DENIED: Final = frozenset(
    {"AccessDeniedException", "AccessDenied", "UnauthorizedOperation", "NotAuthorized"}
)
_THROTTLED: Final = frozenset(
    {
        "TooManyRequestsException",
        "ThrottlingException",
        "Throttling",
        "ThrottledException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "SlowDown",
    }
)

_EXCEPTIONS: Final[Mapping[str, tuple[str, str]]] = {
    "NoCredentialsError": _NO_CREDENTIALS,
    "PartialCredentialsError": ("the credentials are incomplete", "check the keys"),
    "CredentialRetrievalError": ("no credentials could be had", "check the --profile"),
    "MetadataRetrievalError": ("no credentials could be had", "check the --profile"),
    **dict.fromkeys(
        (
            "TokenRetrievalError",
            "SSOTokenLoadError",
            "UnauthorizedSSOTokenError",
            "LoginRefreshRequired",
            "LoginTokenLoadError",
        ),
        _EXPIRED,
    ),
    "EndpointConnectionError": ("could not connect", _NOT_REACHED),
    "ConnectTimeoutError": ("no connection in time", _NOT_REACHED),
    "ProxyConnectionError": ("could not connect to the proxy", "check HTTP_PROXY and HTTPS_PROXY"),
    "SSLError": ("the connection isn't trusted", "check the certificates (AWS_CA_BUNDLE)"),
    "ReadTimeoutError": ("no answer in time", "try again, or with a longer --timeout"),
    "ConnectionClosedError": ("the connection was cut", _LATER),
    "ResponseStreamingError": ("the answer was cut off", _LATER),
    "IncompleteReadError": ("the answer was cut off", _LATER),
    "HTTPClientError": ("the request failed on its way", _NOT_REACHED),
    "ConnectionError": ("could not connect", _NOT_REACHED),
}


@dataclass(frozen=True, slots=True)
class ApiCall:
    """One call of the API: what it asked for, of which operation, and where."""

    subject: str
    operation: str
    region: str
    endpoint_url: str
    has_own_endpoint: bool = False

    def parsed(self, status: int, headers: Mapping[str, Any], body: Any) -> dict[str, Any]:
        """Return the JSON object that was answered. Raises AwsError for anything else."""
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError:
            try:
                document = json.loads(body)
            except (ValueError, RecursionError):
                raise self.not_lambda(status, headers) from None
        if not isinstance(document, dict):
            raise self.not_lambda(status, headers)
        return document

    def not_lambda(self, status: int, headers: Mapping[str, Any]) -> AwsError:
        """Return the error for an answer that isn't the API's at all."""
        kind = str(headers.get("content-type") or "no content type").partition(";")[0]
        return AwsError(
            self.subject,
            f"{self.endpoint_url} answered HTTP {status} with {kind}, not with Lambda's JSON",
            "check --endpoint-url" if self.has_own_endpoint else "check the proxy and the network",
        )

    def unexpected(self, problem: str) -> AwsError:
        """Return the error for JSON that isn't what the operation promises."""
        return AwsError(
            self.subject,
            f"{self.operation} answered what the API doesn't promise: {problem}",
            "check --endpoint-url" if self.has_own_endpoint else "report it with this line",
        )


def is_cut(answer: Answer) -> bool:
    """Tell whether fewer bytes came than were announced."""
    _, headers, body = answer
    length = str(headers.get("content-length") or "")
    return length.isdigit() and not headers.get("content-encoding") and len(body) < int(length)


def error_code(error: Exception) -> str:
    """Return the service's code for an error; empty when it isn't the service's."""
    response = getattr(error, "response", None)
    said = response.get("Error") if isinstance(response, Mapping) else None
    return str(said.get("Code") or "") if isinstance(said, Mapping) else ""


def translate(error: Exception, call: ApiCall, answer: Answer | None) -> AwsError:
    """Return what a failure of botocore means. `answer` is the last one that came, if any."""
    response = getattr(error, "response", None)
    if isinstance(response, Mapping) and "Error" in response:
        return _of_response(response, call, answer)
    name = next(
        (kind.__name__ for kind in type(error).__mro__ if kind.__name__ in _EXCEPTIONS), None
    )
    if type(error).__name__ == "ResponseParserError" and answer is not None:
        return call.not_lambda(answer[0], answer[1])
    if name is None:
        return AwsError(call.subject, f"{type(error).__name__}: {error}", "")
    problem, advice = _EXCEPTIONS[name]
    at = f" ({call.endpoint_url})" if call.endpoint_url and "credential" not in problem else ""
    return AwsError(call.subject, f"{problem}{at}", advice)


def _of_response(response: Mapping[str, Any], call: ApiCall, answer: Answer | None) -> AwsError:
    error, metadata = response["Error"], response.get("ResponseMetadata") or {}
    code, status = str(error.get("Code") or ""), metadata.get("HTTPStatusCode")
    if not code or code.isdigit():
        code = _code_in_body(answer) or code
    retries = metadata.get("RetryAttempts") or 0
    after = f", also after {retries} {'retry' if retries == 1 else 'retries'}" if retries else ""
    said = str(error.get("Message") or "")[:300].rstrip(". ")
    if answer is not None and not _is_json_object(answer[2]) and code not in _CODES:
        if answer[0] >= 500 or answer[0] == 429:
            return AwsError(call.subject, f"HTTP {answer[0]}{after}", _LATER)
        return call.not_lambda(answer[0], answer[1])
    if code in _CODES:
        return AwsError(call.subject, *_CODES[code])
    if code in _ACCESS_DENIED:
        action = f"lambda:{call.operation}"
        return AwsError(call.subject, f"access denied: {said}", f"{action} must be allowed")
    if code in _THROTTLED:
        advice = "try again later, or with a lower --max-rate"
        return AwsError(call.subject, f"throttled{after}", advice)
    if code.startswith("KMS"):
        advice = "kms:Decrypt must be allowed on the function's key, and the key be enabled"
        return AwsError(call.subject, f"{code}: {said}", advice)
    if code == "ResourceNotFoundException":
        return AwsError(
            call.subject,
            f"not found in {call.region}",
            "no such execution or function here, or its retention is over (see --region)",
        )
    if code == "InvalidParameterValueException":
        return AwsError(call.subject, f"refused: {said}", "")
    if isinstance(status, int) and status >= 500:
        return AwsError(call.subject, f"{code or 'HTTP'} {status}{after}: {said}", _LATER)
    if code in ("", "404", "403", "405", "UnknownOperationException"):
        problem = f"{call.endpoint_url} answered HTTP {status} to {call.operation}"
        return AwsError(call.subject, problem, "check the region and --endpoint-url")
    return AwsError(call.subject, f"{code}: {said}", "")


def _code_in_body(answer: Answer | None) -> str | None:
    """Return the error's name where AWS's local runner (1.4.0) puts it: in `Type`, not a header."""
    if answer is None or not _is_json_object(answer[2]):
        return None
    kind = orjson.loads(answer[2]).get("Type")
    return kind if isinstance(kind, str) and kind.endswith("Exception") else None


def _is_json_object(body: Any) -> bool:
    try:
        return isinstance(orjson.loads(body), dict)
    except (orjson.JSONDecodeError, TypeError):
        return False
