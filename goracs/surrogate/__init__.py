"""A small recommender that stands in for the LLM where something is asked of every row of the pool."""
