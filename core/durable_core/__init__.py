"""Runtime and tools for Lambda durable executions."""
