"""A year of small days: facts of each, and what a person would do by day."""

from __future__ import annotations

import json
from pathlib import Path

FIRST = (
    "Mona",
    "Olaf",
    "Ines",
    "Kurt",
    "Vera",
    "Hugo",
    "Lena",
    "Arno",
    "Tilda",
    "Bruno",
    "Clara",
    "Edgar",
    "Freya",
    "Gustav",
)
LAST = ("Hale", "Reed", "Boyd", "Lang", "Moss", "Penn")
PLACES = ("harbour", "mill", "chapel", "market", "tower", "bridge", "garden", "station")
FACTS = 5


def facts_of_day(day: int) -> list[dict[str, object]]:
    """Facts about one family of people who are met on no other day."""
    found: list[dict[str, object]] = []
    for number in range(FACTS):
        name, place = f"{FIRST[(day - 1) % len(FIRST)]} {LAST[number]}", PLACES[(day + number) % len(PLACES)]
        asked = {
            "train": f"Where did {name} go?",
            "probe": f"At what place was {name}?",
            "test": f"Where was {name} met?",
        }
        questions = [{"question": text, "answer": place, "split": split} for split, text in asked.items()]
        text = f"On day {day} {name} went to the {place}."
        found.append({"id": f"d{day:02d}-{number}", "text": text, "subject": name, "questions": questions})
    return found


def write_day(path: Path, day: int) -> list[str]:
    """Write a day's facts as JSON lines; returns their ids."""
    facts = facts_of_day(day)
    path.write_text("".join(json.dumps(fact) + "\n" for fact in facts))
    return [str(fact["id"]) for fact in facts]
