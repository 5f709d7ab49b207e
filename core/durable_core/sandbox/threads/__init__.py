"""Threads that run one at a time, in an order that comes from a seed, on virtual time.

Knows nothing of durable executions. `tasks` are the threads and what they wait for, `turns` whose
turn it is, `waiting` how they wait, `scheduler` runs functions with them. `patches` puts that under
Python's `threading`, `queue`, `concurrent.futures`, `selectors` and `time`, for the threads of a
scheduler only.
"""
