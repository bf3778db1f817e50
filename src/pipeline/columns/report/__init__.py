"""What a day and a night of the column network look like to a person: report.json, Markdown, HTML, plots, tables."""
