"""The language model: loading, prompts, greedy generation, training rows, the adapter and its training."""
