"""AWS's local web runner with the handlers of `fixtures/handlers` behind it, for tests.

    python tests/lambda_servers/local_runner.py

Prints the URL of the runner, which speaks the Lambda API on loopback, and serves until its standard
input is closed, two minutes at most. Executions are started at `/start-durable-execution`, as its
own command line does. The handlers run in this process, invoked over HTTP as Lambda would.
"""

import importlib
import json
import logging
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

LIFE_SECONDS = 120
HANDLERS = Path(__file__).parent.parent.parent / "fixtures" / "handlers"


class Functions(BaseHTTPRequestHandler):
    """Lambda's Invoke: runs the handler of the module that is named like the function."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        name = self.path.split("/")[3].split("%3A")[0].split(":")[0]
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        if name == "accounts":
            handler = importlib.import_module("aws_chained_invoke").target
        else:
            handler = importlib.import_module(name).handler
        answer = json.dumps(handler(json.loads(body), Context())).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *args):
        pass


class Context:
    """What handlers get beside their event."""

    aws_request_id = "request-1"
    tenant_id = None
    invoked_function_arn = "arn:aws:lambda:us-west-2:123456789012:function:recorded"
    log_group_name = log_stream_name = function_name = "recorded"
    memory_limit_in_mb = "128"
    function_version = "$LATEST"

    def get_remaining_time_in_millis(self):
        return 60_000


def main():
    """Serves until standard input is closed."""
    from aws_durable_execution_sdk_python.lambda_service import LambdaClient
    from aws_durable_execution_sdk_python_testing.child_dispatcher import FunctionConfigs
    from aws_durable_execution_sdk_python_testing.runner import WebRunner, WebRunnerConfig
    from aws_durable_execution_sdk_python_testing.web.server import WebServiceConfig

    sys.path.insert(0, str(HANDLERS))
    functions = ThreadingHTTPServer(("127.0.0.1", 0), Functions)
    threading.Thread(target=functions.serve_forever, daemon=True).start()
    config = WebRunnerConfig(
        web_service=WebServiceConfig(host="127.0.0.1", port=0, log_level=logging.CRITICAL),
        lambda_endpoint=f"http://127.0.0.1:{functions.server_address[1]}",
        skip_time="--real-time" not in sys.argv,
        function_configs=FunctionConfigs.from_dict({"accounts": {"DurableConfig": {}}}),
    )
    runner = WebRunner(config)
    runner.start()
    url = f"http://127.0.0.1:{runner._server.server_address[1]}"
    os.environ["AWS_ENDPOINT_URL_LAMBDA"] = url  # where the SDK in the handlers checkpoints
    # Made once and here: boto3 makes its default session not safely when two threads ask for it.
    LambdaClient.initialize_client()
    for path in HANDLERS.glob("aws_*.py"):
        importlib.import_module(path.stem)
    threading.Thread(target=runner.serve_forever, daemon=True).start()
    threading.Timer(LIFE_SECONDS, os._exit, [3]).start()
    sys.stdout.write(f"{url}\n")
    sys.stdout.flush()
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    os.environ.update(
        AWS_ACCESS_KEY_ID="testing",
        AWS_SECRET_ACCESS_KEY="testing",
        AWS_DEFAULT_REGION="us-west-2",
        AWS_EC2_METADATA_DISABLED="true",
        NO_PROXY="127.0.0.1",
    )
    main()
