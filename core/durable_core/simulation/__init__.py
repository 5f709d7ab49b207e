"""Running a handler to its end through simulated invokes, and what is told of it."""
