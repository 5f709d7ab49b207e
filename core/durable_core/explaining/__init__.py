"""What a replay does with each recorded operation and unit, and why. Pure."""
