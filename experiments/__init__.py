"""Commands for people with the checkout: the table, plots, measurements."""
