"""The command line of `durable`."""
