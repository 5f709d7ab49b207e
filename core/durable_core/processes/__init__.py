"""Handlers in processes of their own: the pool that verifies, isolated invocations, repetitions."""
