"""Metrics on arrays: click-through rate, ranking, grounding, and intervals by resampling users."""
