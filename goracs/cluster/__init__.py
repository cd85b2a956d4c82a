"""Passes over a pool that is spread over several processes or machines."""
