"""What each operation does once it is decided what is to happen with it."""
