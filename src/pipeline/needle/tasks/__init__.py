"""Tasks of the flow ``needle`` by ``data.task``, one module each; `pipeline.needle.tasks.registry` makes them."""
