"""What a person has at hand, read into passages: Markdown, plain text and chat logs, each with where it came from.

reading = read_path(Path("notes"))     # a folder, or one file
facts = facts_of(reading.passages, session="default")
"""

from pipeline.reading.folder import Reading, SourceFile, facts_of, is_readable, read_path
from pipeline.reading.passage import Passage

__all__ = ["Passage", "Reading", "SourceFile", "facts_of", "is_readable", "read_path"]
