"""A protocol that others can enter: one frozen suite, what an entrant may read of it, and one examination for all."""
