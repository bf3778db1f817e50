"""Artifacts: atomic files, manifests with digests, store generations, run folders, and resume by digest.

Parquet is the truth, a manifest is written last, and readers trust manifests alone.
"""

from pipeline.artifacts.atomic import read_json, read_table, replacing, sweep, write_bytes, write_json, write_table
from pipeline.artifacts.digests import code_version, digest_file, digest_json, digest_tree
from pipeline.artifacts.generations import Generation, GenerationStore
from pipeline.artifacts.jsonable import json_safe
from pipeline.artifacts.locking import FileLock
from pipeline.artifacts.manifest import Manifest, ManifestFile, load, publish
from pipeline.artifacts.query import query
from pipeline.artifacts.runs import RunFolder, differences, find_run, list_runs, open_run, resumable
from pipeline.artifacts.stages import Stage, StagePlan, StageResult, plan, stage, stage_results

__all__ = [
    "FileLock",
    "Generation",
    "GenerationStore",
    "Manifest",
    "ManifestFile",
    "RunFolder",
    "Stage",
    "StagePlan",
    "StageResult",
    "code_version",
    "differences",
    "digest_file",
    "digest_json",
    "digest_tree",
    "find_run",
    "json_safe",
    "list_runs",
    "load",
    "open_run",
    "plan",
    "publish",
    "query",
    "read_json",
    "read_table",
    "replacing",
    "resumable",
    "stage",
    "stage_results",
    "sweep",
    "write_bytes",
    "write_json",
    "write_table",
]
