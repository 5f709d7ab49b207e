"""What holds for every test: a property never fails because the machine was busy."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile(
    "durable",
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("durable")
