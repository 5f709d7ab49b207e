"""Values that can be nothing else than what the service or an SDK writes there. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Final

from durable_core.events import EVENTS, parse_timestamp
from durable_core.limits import LIMITS
from durable_core.model import ExecutionStatus, SubType
from durable_core.redaction.fakes import SHORT

_EVENT_TYPE: Final = re.compile(
    "(?:[A-Z][a-z]{1,15}){1,3}(?:Started|Succeeded|Failed|TimedOut|Stopped|Cancelled|Completed"
    "|Paused|Resumed)"
)
"""What a type of event that isn't known may be called, to be taken for one."""
_SUB_TYPE: Final = re.compile("[a-zA-Z0-9_-]{1,32}")
_POSITION: Final = re.compile(
    "(?:(?:operation|context|child|step|wait|callback|invoke|map|parallel|item|branch|unit|node)-?)?"
    "(?:0|[1-9][0-9]{0,2})(?:-(?:0|[1-9][0-9]{0,2})){0,15}"
)
"""An id that is the position itself, as SDKs of one's own and tools number operations."""
_VERSION: Final = re.compile(r"\$LATEST(?:\.PUBLISHED)?|[0-9]{1,5}")
_ERROR_TYPE: Final = re.compile(
    r"(?=.{1,256}\Z)[*&]?[^\W\d]\w*(?:(?:\.|\$|::|/|\+|`|-)(?:\w+|<locals>))*"
    r"(?:[<\[][\w.$*+/:<>`\[\], -]*[>\]])?"
)
"""The name of a class or type, as languages spell it: qualified, nested, of other types."""
_ISO: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?"
    r"(?:Z|[+-][0-9]{2}:?[0-9]{2})?"
)
_FROM: Final = datetime(2000, 1, 1, tzinfo=UTC)
_TO: Final = datetime(2100, 1, 1, tzinfo=UTC)
_MOST_EVENTS: Final = 10_000_000
_SUB_TYPES: Final = frozenset(
    each for name, each in vars(SubType).items() if name.isupper() and isinstance(each, str)
)


def is_known_event_type(value: Any) -> bool:
    """Tell whether this version knows that type of event."""
    return isinstance(value, str) and value in EVENTS


def is_event_type(value: Any) -> bool:
    """Tell whether a type of event is called as the service calls them."""
    return isinstance(value, str) and _EVENT_TYPE.fullmatch(value) is not None


def is_known_sub_type(value: Any) -> bool:
    """Tell whether SDKs write that sub-type by themselves."""
    return isinstance(value, str) and value in _SUB_TYPES


def is_sub_type(value: Any) -> bool:
    """Tell whether it can be a sub-type, the user's own too."""
    return isinstance(value, str) and _SUB_TYPE.fullmatch(value) is not None


def is_error_type(value: Any) -> bool:
    """Tell whether it can be the name of a class; a sentence can't."""
    return isinstance(value, str) and _ERROR_TYPE.fullmatch(value) is not None


def is_status(value: Any) -> bool:
    """Tell whether it is the status of an execution."""
    return isinstance(value, str) and value in ExecutionStatus.__members__


def is_version(value: Any) -> bool:
    """Tell whether it is the version of a function; an alias is none."""
    return isinstance(value, str) and _VERSION.fullmatch(value) is not None


def is_flag(value: Any) -> bool:
    """Tell whether it is true or false."""
    return isinstance(value, bool)


def is_event_id(value: Any) -> bool:
    """Tell whether a number can be that of an event."""
    return _is_count(value, _MOST_EVENTS)


def is_count(value: Any) -> bool:
    """Tell whether it can be a number of seconds, days or attempts."""
    return _is_count(value, LIMITS.wait_max_seconds)


def is_moment(value: Any) -> bool:
    """Tell whether it is a timestamp; of a number, whether it is one of this century."""
    try:
        moment = parse_timestamp(value)
    except ValueError:
        return False
    is_iso = isinstance(value, str) and _ISO.fullmatch(value) is not None
    return is_iso or _FROM <= moment <= _TO


def is_position(operation_id: str) -> bool:
    """Tell whether an operation's id is its position, or too short to tell anything."""
    return len(operation_id) < SHORT or _POSITION.fullmatch(operation_id) is not None


def _is_count(value: Any, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= most
