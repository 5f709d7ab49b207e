"""What runs a handler: finding and loading it, and a driver for each runtime."""
