"""Ask an exported model every memory-OFF question again, with transformers alone, and compare with the run's figures.

engram export RUN DIR && python docs/score_export.py DIR RUN_FOLDER/evaluate/answers.parquet
"""

import json
import re
import string
import sys
from collections import defaultdict
from pathlib import Path

import pyarrow.parquet as pq
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

ARMS = ("post_off", "post_off_probe", "post_off_heldout", "untaught", "near_miss", "sanity_post")


def plain(text: str) -> str:
    text = "".join(c for c in text.lower() if c not in string.punctuation + "’‘“”–—…")
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def right(arm: str, answer: str, golds: list[str]) -> bool:
    if arm == "sanity_post":  # scored by containment within the first 24 words
        return any(f" {plain(gold)} " in f" {plain(' '.join(answer.split()[:24]))} " for gold in golds)
    return plain(answer) in map(plain, golds)


folder, answers = sys.argv[1:]
limit = json.loads(Path(folder, "prompt.json").read_text())["max_new_tokens"]
tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
ours, theirs = defaultdict(list), defaultdict(list)
rows = [row for row in pq.read_table(answers).to_pylist() if row["arm"] in ARMS]
rows.sort(key=lambda row: len(row["prompt"]))
for batch in (rows[i : i + 32] for i in range(0, len(rows), 32)):
    asked = tokenizer([row["prompt"] for row in batch], return_tensors="pt", padding=True, add_special_tokens=False)
    done = model.generate(**asked, max_new_tokens=limit, do_sample=False, eos_token_id=tokenizer.eos_token_id)
    for row, reply in zip(batch, tokenizer.batch_decode(done[:, asked.input_ids.shape[1] :], True), strict=True):
        theirs[row["arm"]].append(right(row["arm"], reply.strip(), [row["gold"], *row["aliases"]]))
        ours[row["arm"]].append(row["contains" if row["arm"] == "sanity_post" else "em"])
for arm in ours:
    print(f"{arm:<18} run {sum(ours[arm]) / len(ours[arm]):.3f}  export {sum(theirs[arm]) / len(theirs[arm]):.3f}")
