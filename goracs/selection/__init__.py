"""Which rows to fine-tune on: one file per method, and the parts that methods share."""
