"""Controllers of plasticity by ``meta_controller``, one module each; `pipeline.plasticity.meta` makes them."""
