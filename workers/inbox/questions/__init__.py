"""Questions that were asked through us: their records, and what is to be done for them."""
