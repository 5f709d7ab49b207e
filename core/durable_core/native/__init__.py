"""The native runtime: `async def handler(event, ctx)` and everything that it is given."""
