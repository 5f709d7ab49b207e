"""`python -m durable_cli` is `durable`, whose entry point this is.

A process that verifies imports the script that started it again, so that nothing is to be imported
here before the command runs.
"""

from __future__ import annotations


def main() -> None:
    """Run the command line and exit."""
    from durable_cli.app import main as run

    run()


if __name__ == "__main__":
    main()
