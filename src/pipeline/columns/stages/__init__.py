"""The stages of the flow ``columns``, one module each with a function ``run``."""
