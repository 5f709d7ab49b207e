"""What touches the world outside: files, handlers, AWS."""
