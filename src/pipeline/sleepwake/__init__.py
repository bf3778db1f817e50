"""Sleep–wake memory: a byte model, a memory of surprises, and what adapts or patches it."""
