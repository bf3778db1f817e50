"""Which models and public data sets Engram knows, where they lie on this machine, and how to fetch them."""
