"""Who is asked what, how answers are scored, and what may be concluded from them."""
