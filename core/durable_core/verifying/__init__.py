"""Running a handler against what was recorded, and saying whether it still replays."""
