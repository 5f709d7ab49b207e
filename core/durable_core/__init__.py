"""Runtime and tools for Lambda durable executions.

Reading, explaining, sizing and simulating them; never talking to AWS unless an adapter is asked.
"""

from durable_core._version import __version__

__all__ = ["__version__"]
