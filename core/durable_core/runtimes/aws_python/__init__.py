"""Handlers of AWS's SDK: the user's own installation of it, simulated and verified."""
