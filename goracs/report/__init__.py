"""Everything that turns results into something to look at."""
