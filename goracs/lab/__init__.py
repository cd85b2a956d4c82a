"""The lab: a coreset judged in milliseconds, by a head fitted on hidden states instead of a fine-tune."""
