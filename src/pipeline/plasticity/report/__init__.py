"""The report of a liquid spiking network: schema, tables, plots, files."""
