"""The simulated service: a pure state machine that enforces the real limits and transitions."""
