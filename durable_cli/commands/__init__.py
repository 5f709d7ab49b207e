"""One module a command, each a visible pipeline: load, decide, report, render, exit.

The modules are imported whenever `durable` starts, so they import what they need only in the call.
"""
