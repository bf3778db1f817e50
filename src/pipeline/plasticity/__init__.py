"""A liquid spiking network with local rules, meta-plasticity and consolidation, that learns tasks one after another."""
