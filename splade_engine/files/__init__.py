"""How files and folders are written, checked, flushed and read: the one place.

Whatever is written is written beside what it replaces, flushed, and renamed into place. A reader sees the old
state or the new one, never half of it. Whatever is read is a regular file of a size that can be meant.
"""

from splade_engine.arguments import expanded
from splade_engine.files.digests import Digest, digest, digest_64, digest_of_file, digest_of_json
from splade_engine.files.disk import disk_errors, file_stamp, read_at, sync_folder
from splade_engine.files.ends import check_one_table, check_one_zip
from splade_engine.files.leftovers import bring_back, neighbour
from splade_engine.files.ours import refuse_ours
from splade_engine.files.places import beside, cache_root, named
from splade_engine.files.processes import began, is_stopped, runs
from splade_engine.files.texts import (
    finite,
    parsed_json,
    parsed_toml,
    read_json,
    read_text,
    read_toml,
    unique_keys,
    whole_texts,
    write_json,
    write_text,
)
from splade_engine.files.whole_file import atomic_file, is_stream
from splade_engine.files.whole_folder import atomic_folder, check_replaceable

__all__ = [
    "Digest",
    "atomic_file",
    "atomic_folder",
    "began",
    "beside",
    "bring_back",
    "cache_root",
    "check_one_table",
    "check_one_zip",
    "check_replaceable",
    "digest",
    "digest_64",
    "digest_of_file",
    "digest_of_json",
    "disk_errors",
    "expanded",
    "file_stamp",
    "finite",
    "is_stopped",
    "is_stream",
    "named",
    "neighbour",
    "parsed_json",
    "parsed_toml",
    "read_at",
    "read_json",
    "read_text",
    "read_toml",
    "refuse_ours",
    "runs",
    "sync_folder",
    "unique_keys",
    "whole_texts",
    "write_json",
    "write_text",
]
