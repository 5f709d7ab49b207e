"""What code may do outside of its process, and what keeps it from that; knows nothing of replay."""
