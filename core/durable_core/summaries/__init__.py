"""Stored results of maps and parallels: how units ended, and why the operation completed. Pure."""
