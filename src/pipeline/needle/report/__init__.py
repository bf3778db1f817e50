"""The report of a needle memory: schema, tables, plots, files."""
