"""What of the environment a handler that is verified is not handed, and what is said of it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from durable_cli.app import run
from durable_core.sandbox.secret_variables import (
    PLACEHOLDERS,
    changes_for,
    environment_with,
    is_secret,
    withheld_from,
)

SECRETS = [
    *["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN"],
    *["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"],
    *["AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_WEB_IDENTITY_TOKEN_FILE"],
    *["AWS_BEARER_TOKEN_BEDROCK", "GITHUB_TOKEN", "GH_TOKEN", "NPM_TOKEN", "SYSTEM_ACCESSTOKEN"],
    *["MY_SECRET", "CLIENT_SECRET", "SECRET_KEY", "SECRETS", "DB_PASSWORD", "PGPASSWORD"],
    *["MYSQL_PWD", "REDIS_PASS", "STRIPE_API_KEY", "STRIPE_APIKEY", "SIGNING_KEY", "KEY"],
    *["SSH_PRIVATE_KEY", "SSH_AUTH_SOCK", "DOCKER_AUTH_CONFIG", "CI_JOB_JWT", "AZURE_PAT"],
    *["GOOGLE_APPLICATION_CREDENTIALS", "SENTRY_DSN", "GPG_PASSPHRASE", "SESSION_COOKIE"],
    "my_secret",
]
NO_SECRETS = [
    *["PATH", "HOME", "PWD", "OLDPWD", "LANG", "PYTHONPATH", "AWS_REGION", "AWS_PROFILE"],
    *["AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_LAMBDA_FUNCTION_NAME", "AWS_ROLE_ARN"],
    *["TABLE_NAME", "PARTITION_KEY", "SORT_KEY", "PUBLIC_KEY", "CACHE_KEY", "S3_KEY", "KEY_PREFIX"],
    *["SECRET_NAME", "SECRET_ARN", "TOKEN_TABLE", "TOKEN_TTL", "TOKENIZERS_PARALLELISM"],
    *["MONKEY", "PASSENGER", "AUTHOR", "COMPASS", "LOG_LEVEL", "KEYBOARD"],
]


@pytest.mark.parametrize("name", SECRETS)
def test_a_credential_is_known_by_its_name(name: str) -> None:
    assert is_secret(name, "3f9a-xyz")


@pytest.mark.parametrize("name", NO_SECRETS)
def test_other_variables_are_handed(name: str) -> None:
    assert not is_secret(name, "3f9a-xyz")


@pytest.mark.parametrize("value", ["", "0", "4096", "1.5", "true", "False", "no", "on"])
def test_a_number_or_a_switch_is_no_secret_whatever_it_is_called(value: str) -> None:
    assert not is_secret("MAX_TOKENS", value)


@pytest.mark.parametrize(
    "value",
    [
        "postgres://orders:hunter22@db.example.com/orders",
        "redis://:hunter22@cache.example.com:6379/0",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIE",
        "AKIAIOSFODNN7EXAMPLE",
        "ghp_0123456789abcdefghij0123",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ6b2UifQ.c2lnbmF0dXJl",
    ],
)
def test_a_credential_is_known_by_its_value(value: str) -> None:
    assert is_secret("SETTING", value)


@pytest.mark.parametrize("value", ["https://example.com/orders", "postgres://db.example.com/x"])
def test_an_address_without_a_password_is_none(value: str) -> None:
    assert not is_secret("DATABASE_URL", value)


def test_an_sdk_of_aws_finds_placeholders_and_looks_no_further() -> None:
    environment = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SESSION_TOKEN": "real", "HOME": "/root"}
    changes = changes_for(withheld_from(environment, ()), ())

    assert changes == {"AWS_SESSION_TOKEN": None, **PLACEHOLDERS}
    assert changes_for(withheld_from({"HOME": "/root"}, ()), ()) == PLACEHOLDERS


@pytest.mark.parametrize("asked", ["AWS_PROFILE", "AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID=x"])
def test_no_placeholder_is_in_the_way_of_credentials_that_are_asked_for(asked: str) -> None:
    withheld = withheld_from({"AWS_PROFILE": "dev"}, [asked])

    assert not PLACEHOLDERS.keys() & set(withheld)


def test_the_environment_is_as_it_was_once_the_process_is_started() -> None:
    before = dict(os.environ)
    with environment_with({"HOME": None, "A_NEW_ONE": "1"}):
        assert "HOME" not in os.environ
        assert os.environ["A_NEW_ONE"] == "1"

    assert dict(os.environ) == before


# -- in the process ------------------------------------------------------------------------------

RECORDED = """
from datetime import timedelta

async def handler(event, ctx):
    await ctx.step(lambda _: 1, name="charge")
    await ctx.wait(timedelta(seconds=1), name="pause")
"""
STEPS = RECORDED.partition("handler(event, ctx):\n")[2]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recorded")
    (folder / "old.py").write_text(RECORDED)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run(["simulate", "--handler", "old:handler", "--record", "it.json", "-o", "report"])
    return folder / "it.json"


Verified = Callable[..., tuple[int, Any]]


@pytest.fixture
def verified(
    recorded: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Verified:
    """Verifies a module's handler with MY_SECRET set, and returns (exit code, history or error)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MY_SECRET", "hunter22-here")

    def call(module: str, *options: str) -> tuple[int, Any]:
        Path("app.py").write_text(f"import os\nfrom datetime import timedelta\n{module}")
        arguments = ["replay", str(recorded), "--handler", "app:handler", "--runs", "1"]
        code = run([*arguments, "--format", "json", *options])
        out, err = capfd.readouterr()
        return code, json.loads(out)["histories"][0] if out else err

    return call


AT_IMPORT = f"KEY = os.environ['MY_SECRET']\nasync def handler(event, ctx):\n{STEPS}"
OPTIONAL = """
KEY = os.environ.get("MY_SECRET")
async def handler(event, ctx):
    if KEY:
        await ctx.step(lambda _: 1, name="charge")
    await ctx.wait(timedelta(seconds=1), name="pause")
"""
IN_A_STEP = """
async def handler(event, ctx):
    await ctx.step(lambda _: os.environ["MY_SECRET"] and 1, name="charge")
    await ctx.wait(timedelta(seconds=1), name="pause")
"""
OUTSIDE = f"async def handler(event, ctx):\n    os.getenv('MY_SECRET')\n{STEPS}"


def test_a_module_that_needs_a_secret_cannot_be_verified_and_is_told_which(
    verified: Verified,
) -> None:
    code, outcome = verified(AT_IMPORT)

    assert (code, outcome["verdict"]) == (3, "cannot-verify")
    [doubt] = outcome["doubts"]
    assert "KeyError: 'MY_SECRET'" in doubt["reason"]
    assert "not handed: MY_SECRET, which is read at app.py:3" in doubt["reason"]
    assert doubt["remedy"] == "--env MY_SECRET hands it over"


@pytest.mark.parametrize(
    "options", [("--env", "MY_SECRET"), ("--env", "MY_SECRET=other"), ("--guard", "off")]
)
def test_a_secret_is_handed_where_that_is_asked_for(
    verified: Verified, options: tuple[str, ...]
) -> None:
    code, outcome = verified(AT_IMPORT, *options)

    assert (code, outcome["verdict"], outcome["notes"]) == (0, "compatible", [])


def test_code_that_goes_another_way_without_a_secret_has_not_diverged(verified: Verified) -> None:
    code, outcome = verified(OPTIONAL)

    assert (code, outcome["verdict"]) == (3, "cannot-verify")
    assert "was not handed MY_SECRET, which is read at app.py:4" in outcome["doubts"][0]["reason"]
    assert outcome["divergences"][0]["position"] == "1"
    assert verified(OPTIONAL, "--env", "MY_SECRET")[0] == 0


@pytest.mark.parametrize(
    "reads",
    [
        "if 'MY_SECRET' not in os.environ: raise SystemExit(4)",
        "if not os.environ.get('MY_SECRET'): os._exit(4)",
        "if b'MY_SECRET' not in os.environb: return",
    ],
)
def test_code_that_ends_for_want_of_a_secret_is_told_which(verified: Verified, reads: str) -> None:
    code, outcome = verified(f"async def handler(event, ctx):\n    {reads}\n{STEPS}")

    assert code == 3
    [doubt] = outcome["doubts"]
    assert "not handed" in doubt["reason"]
    assert "MY_SECRET, which is read at app.py:4" in doubt["reason"]
    assert doubt["remedy"] == "--env MY_SECRET hands it over"


SETTINGS = f"""
given = {{name.lower(): value for name, value in os.environ.items()}}
if "my_secret" not in given:
    raise ValueError("1 validation error for Settings: my_secret: Field required")
async def handler(event, ctx):
{STEPS}"""


def test_an_error_that_names_the_secret_tells_it_where_all_variables_were_copied(
    verified: Verified,
) -> None:
    code, outcome = verified(SETTINGS)

    assert code == 3
    assert outcome["doubts"][0]["reason"].endswith("not handed: MY_SECRET")


def test_that_a_secret_is_read_outside_of_steps_is_told_where_all_is_compatible(
    verified: Verified,
) -> None:
    code, outcome = verified(OUTSIDE)

    assert code == 0
    [note] = outcome["notes"]
    assert note.startswith("not handed to the code: MY_SECRET, which is read at app.py:4")
    assert note.endswith("(--env MY_SECRET hands it over)")


def test_what_is_read_in_a_step_is_nothing_to_tell(verified: Verified) -> None:
    code, outcome = verified(IN_A_STEP)

    assert (code, outcome["notes"]) == (0, [])


NOWHERE = f"""
def found():
    places = [repr(dict(os.environ)), repr(list(os.environ.items())), repr(os.environ)]
    if os.path.exists("/proc/self/environ"):
        places.append(open("/proc/self/environ").read())
    return [place for place in places if "MY_SECRET" in place or "hunter22" in place]

assert not found()
assert len(os.environ) == len(list(os.environ))
async def handler(event, ctx):
    assert not found()
{STEPS}"""


def test_a_secret_is_nowhere_in_the_process_and_who_copies_all_variables_reads_none(
    verified: Verified,
) -> None:
    code, outcome = verified(NOWHERE, "--runs", "2")

    assert (code, outcome["notes"]) == (0, [])


CLIENT = f"""
import boto3
table = boto3.client("dynamodb", region_name="eu-west-1")
assert table._request_signer._credentials.access_key.startswith("WITHHELD")
async def handler(event, ctx):
{STEPS}"""


def test_clients_of_aws_can_be_made_without_credentials(
    verified: Verified, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "real-one")
    code, outcome = verified(CLIENT)

    assert (code, outcome["notes"]) == (0, [])


OWN = f"""
os.environ["MY_SECRET"] = "of its own"
async def handler(event, ctx):
    assert os.environ["MY_SECRET"] == "of its own"
{STEPS}"""


def test_a_variable_that_the_handler_sets_itself_is_its_own(verified: Verified) -> None:
    code, outcome = verified(OWN)

    assert (code, outcome["notes"]) == (0, [])


OTHER_FAILURE = "import nothing_of_the_kind\nasync def handler(event, ctx): ..."


def test_an_import_that_fails_for_another_reason_fails_as_ever(verified: Verified) -> None:
    code, error = verified(OTHER_FAILURE)

    assert code == 2
    assert "nothing_of_the_kind" in error


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--env", "NOT_THERE"), "--env NOT_THERE: there is no such variable"),
        (("--env", "PATH"), "--env PATH has no effect: only secrets are not handed"),
        (("--env", "=x"), "expected NAME or NAME=VALUE"),
        (("--env", "MY_SECRET", "--guard", "off"), "has no effect with --guard off"),
    ],
)
def test_what_cannot_be_handed_is_refused(
    verified: Verified, options: tuple[str, ...], said: str
) -> None:
    code, error = verified(AT_IMPORT, *options)

    assert code == 2
    assert said in error


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has such files")
def test_the_environment_of_the_process_that_started_it_is_not_readable(verified: Verified) -> None:
    # `os.getppid` is another one in each run.
    parent = "open('/proc/self/status').read().partition('PPid:')[2].split()[0]"
    read = f"open('/proc/' + {parent} + '/environ').read()"
    module = f"try:\n    {read}\nexcept OSError:\n    pass\nelse:\n    raise ValueError\n"

    assert verified(module + RECORDED)[0] == 0
