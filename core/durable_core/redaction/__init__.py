"""Histories to show to others: payloads and ids replaced by stand-ins of the same size."""
