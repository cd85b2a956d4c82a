"""The jobs of one command: their folders, their places in a sweep, what they know of each other."""
