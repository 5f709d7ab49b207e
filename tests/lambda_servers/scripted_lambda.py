"""An HTTP server on loopback that answers as Lambda does, or as it is told to, for tests.

It speaks the three calls that read executions. What it has is in `executions`; `page_size` is how
many items it gives at most; each of `faults` is the answer to one request, whatever is asked.
"""

import json
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

FUNCTION_ARN = "arn:aws:lambda:eu-west-1:246813579246:function:orders"


def arn_of(name, function="orders", region="eu-west-1"):
    return (
        f"arn:aws:lambda:{region}:246813579246:function:{function}:7/durable-execution/{name}/"
        f"run-{name}"
    )


@dataclass(frozen=True)
class Reply:
    """One answer. `cut` closes the connection after so many bytes of the body."""

    status: int = 200
    body: object = field(default_factory=dict)
    content_type: str = "application/json"
    headers: tuple = ()
    delay_seconds: float = 0
    cut: int | None = None


def refusal(status, code, message="no", **fields):
    body = {"Type": "User", "message": message, **fields}
    return Reply(status, body, headers=(("x-amzn-ErrorType", f"{code}:http://internal/"),))


THROTTLED = refusal(429, "TooManyRequestsException", "Rate exceeded", Reason="CallerRateLimit")
BROKEN = refusal(500, "ServiceException", "out of order")


def execution(name, events, status="SUCCEEDED", function="orders", **fields):
    return {
        "DurableExecutionArn": arn_of(name, function),
        "DurableExecutionName": name,
        "FunctionArn": f"{FUNCTION_ARN.removesuffix('orders')}{function}:7",
        "Status": status,
        "StartTimestamp": 1796119200.5,
        "Version": "7",
        **fields,
        "events": list(events),
    }


def steps(count, first=1):
    """The events of an execution that has done so many steps, and is still at it."""
    started = {"EventType": "ExecutionStarted", "Id": "run", "Name": "order-1"}
    started["ExecutionStartedDetails"] = {"Input": {"Payload": '{"order": "A-17"}'}}
    events = [started]
    for number in range(1, count + 1):
        step = {"SubType": "Step", "Id": f"step-{number}", "Name": f"work-{number}"}
        result = {"Payload": f'"done {number}"', "Truncated": False}
        events.append({"EventType": "StepStarted", **step})
        events.append(
            {"EventType": "StepSucceeded", "StepSucceededDetails": {"Result": result}, **step}
        )
    return numbered(events, first)


def ended(events, result='"all done"'):
    """The events of an execution that ended with the ones that are given."""
    details = {"Result": {"Payload": result, "Truncated": False}}
    completed = {"RequestId": "6f0c1d52-8a5e-4d0f-9a55-0a5b6c7d8e9f", "StartTimestamp": 1796119200}
    completed = {"InvocationCompletedDetails": {**completed, "EndTimestamp": 1796119201.25}}
    more = [
        {"EventType": "InvocationCompleted", **completed},
        {"EventType": "ExecutionSucceeded", "Id": "run", "ExecutionSucceededDetails": details},
    ]
    return [*events, *numbered(more, len(events) + 1)]


def numbered(events, first=1):
    return [
        {"EventId": number, "EventTimestamp": 1796119200.5 + number, **event}
        for number, event in enumerate(events, first)
    ]


class ScriptedLambda(ThreadingHTTPServer):
    """The server. `url` is where; `asked` is what was asked for, as (operation, subject, query)."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.executions = {}
        self.page_size = 1000
        self.faults = deque()
        self.always = None
        self.asked = []
        self.at = []
        self.marker_life = None
        self.before = lambda operation, subject, query: None
        self._lock = threading.Lock()
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    def add(self, *executions):
        for each in executions:
            self.executions[each["DurableExecutionArn"]] = each

    def count(self, operation):
        return sum(each[0] == operation for each in self.asked)

    def reply(self, operation, subject, query):
        with self._lock:
            self.asked.append((operation, subject, query))
            self.at.append(time.monotonic())
            if self.faults:
                fault = self.faults.popleft()
                if fault is not None:
                    return fault
            if self.always is not None:
                return self.always
            self.before(operation, subject, query)
            return getattr(self, operation)(subject, query)

    def get(self, arn, query):
        found = self.executions.get(arn)
        if found is None:
            return refusal(404, "ResourceNotFoundException", f"no execution {arn}")
        return Reply(body={name: each for name, each in found.items() if name != "events"})

    def history(self, arn, query):
        found = self.executions.get(arn)
        if found is None:
            return refusal(404, "ResourceNotFoundException", f"no execution {arn}")
        events = found["events"]
        if query.get("ReverseOrder") == "true":
            events = events[::-1]
        if query.get("IncludeExecutionData") != "true":
            events = [without_payloads(event) for event in events]
        return self.page(events, "Events", query)

    def list(self, function, query):
        found = [
            {name: each for name, each in item.items() if name not in ("events", "Version")}
            for item in self.executions.values()
            if f":function:{function}:" in item["DurableExecutionArn"]
            and query.get("DurableExecutionName", item["DurableExecutionName"])
            == item["DurableExecutionName"]
            and item["Status"] in query.get("Statuses", item["Status"])
        ]
        if query.get("ReverseOrder") == "true":
            found.reverse()
        return self.page(found, "DurableExecutions", query)

    def page(self, items, name, query):
        start = int(query.get("Marker", 0))
        stop = start + min(self.page_size, int(query.get("MaxItems", 100)))
        following = {"NextMarker": str(stop)} if stop < len(items) else {}
        return Reply(body={name: items[start:stop], **following})


def without_payloads(event):
    event = json.loads(json.dumps(event))
    for details in event.values():
        for carrier in details.values() if isinstance(details, dict) else ():
            if isinstance(carrier, dict) and carrier.pop("Payload", None) is not None:
                carrier["Truncated"] = True
    return event


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        url = urlsplit(self.path)
        query = {name: ",".join(values) for name, values in parse_qs(url.query).items()}
        parts = [unquote(part) for part in url.path.strip("/").split("/")]
        if parts[1] == "functions":
            operation, subject = "list", parts[2]
        else:
            operation, subject = ("history" if parts[-1] == "history" else "get"), parts[2]
        self.send(self.server.reply(operation, subject, query))

    def send(self, reply):
        if reply.delay_seconds:
            time.sleep(reply.delay_seconds)
        body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        try:
            self.send_response(reply.status)
            self.send_header("Content-Type", reply.content_type)
            self.send_header("Content-Length", str(len(body)))
            for name, value in reply.headers:
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body if reply.cut is None else body[: reply.cut])
        except OSError:
            pass  # whoever asked has gone
        if reply.cut is not None:
            self.close_connection = True

    def log_message(self, *args):
        pass
