"""`durable`: the commands, and what happens to whatever goes wrong in them."""

from __future__ import annotations

import sys
from typing import Annotated, Any, Final

import typer
from typer.core import TyperCommand

from durable_cli.commands import fetch, inspect_batch, replay, simulate
from durable_core.processes.std_streams import (
    Unwritten,
    check_stdout,
    make_stderr_lenient,
    open_closed_streams,
)


class _Command(TyperCommand):
    """A command that refuses an option without value or effect, and groups options in its help."""

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        from durable_cli.option_needs import refuse_without_effect
        from durable_cli.option_values import refuse_empty_values

        refuse_empty_values(ctx)
        refuse_without_effect(ctx)
        return super().invoke(ctx)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        from durable_cli.help_text import write_options

        write_options(ctx, formatter)

    def get_short_help_str(self, limit: int = 0) -> str:
        """Return the first paragraph of the help, whole: the list of commands shows it."""
        paragraph, _, _ = (self.help or "").partition("\n\n")
        return " ".join(paragraph.split())


app = typer.Typer(
    name="durable",
    help="Understand, check and run Lambda durable executions without deploying them.",
    no_args_is_help=True,
    rich_markup_mode=None,  # rich help would import half of rich and Markdown before the first line
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
app.command("replay", cls=_Command)(replay.command)
app.command("inspect-batch", cls=_Command)(inspect_batch.command)
app.command("fetch", cls=_Command)(fetch.command)
app.command("simulate", cls=_Command)(simulate.command)


def _version(wanted: bool) -> None:
    if wanted:
        from durable_core import __version__

        typer.echo(f"durable {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Hold the options of `durable` itself."""


def main() -> None:
    """Run the command line and exit: the entry point of the `durable` script."""
    open_closed_streams()
    make_stderr_lenient()
    check_stdout()
    code = run(None)
    if (
        code == _INTERRUPTED or "durable_core.processes.runners" in sys.modules
    ):  # a handler ran here
        from durable_cli.ctrl_c import leave, leaves_something

        if code == _INTERRUPTED or leaves_something():
            leave(code)
    sys.exit(code)


_INTERRUPTED: Final = 130
"""`Exit.INTERRUPTED`, which starting up doesn't import."""


def run(arguments: list[str] | None) -> int:
    """Run one call and return its exit code. Never raises, never shows a traceback.

    With DURABLE_DEBUG set in the environment a defect of `durable` itself does raise.
    """
    from durable_cli.exits import Exit, code_of
    from durable_cli.output import message
    from durable_core.errors import DurableError

    try:
        code = app(args=arguments, prog_name="durable", standalone_mode=False)
        return int(code or 0)
    except DurableError as error:
        message(str(error))
        return code_of(error)
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except MemoryError:
        message("there isn't enough memory for it: expected smaller or fewer sources")
        return Exit.BAD_INPUT
    except Unwritten as unwritten:  # such as the text of `--help`
        return _unwritten(unwritten.error)
    except Exception as error:
        return _unexpected(error)


def _unwritten(error: OSError) -> int:
    from durable_cli.exits import Exit
    from durable_cli.output import message, unwritten_stdout

    problem = unwritten_stdout(error)
    if isinstance(error, BrokenPipeError):  # its reader wants no more
        return Exit.FINE
    message(str(problem))
    return Exit.BAD_INPUT


def _unexpected(error: Exception) -> int:
    import os

    from durable_cli.exits import Exit
    from durable_cli.output import message

    if type(error).__name__ == "NoArgsIsHelpError":
        typer.echo(error, err=True)
        return Exit.BAD_INPUT
    if (shown := getattr(error, "format_message", None)) is not None:  # usage errors of click
        context = getattr(error, "ctx", None)
        hint = f" (try: {context.command_path} --help)" if context is not None else ""
        message(f"{shown()}{hint}")
        return Exit.BAD_INPUT
    if type(error).__name__ == "Abort":
        return Exit.INTERRUPTED
    if os.environ.get("DURABLE_DEBUG"):
        raise error
    message(
        f"a defect in durable itself: {type(error).__name__}: {error} "
        "(DURABLE_DEBUG=1 shows the traceback)"
    )
    return Exit.INTERNAL
