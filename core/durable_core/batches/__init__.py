"""The requests that checkpoint updates become under the caps of an SDK. Pure."""
