"""`python -m durable_cli` is `durable`."""

from durable_cli.app import main

main()
