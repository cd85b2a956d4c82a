"""Real interactions: raw files to samples, splits, prompts, candidates. No LLM framework here."""
