"""The report of the flow ``sleepwake``: schema, tables, plots, files."""
