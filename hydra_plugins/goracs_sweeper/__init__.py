"""The sweeper of goracs, where Hydra looks for plugins."""
