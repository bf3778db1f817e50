"""What a night looks like to a person: report.json, Markdown, HTML, plots and comparisons."""
