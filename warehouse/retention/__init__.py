"""Retention: move rows from tier to tier, archive them, and delete them when their time is over.

command.py   `warehouse retain`
recall.py    `warehouse recall`
policy.py    what tables keep, and which parts of them have reached an age
steps.py     the plan: what moves where, and why; carrying it out
archive.py   the archive's files and their catalogue; for an erasure, `archived_files` and
             `rewrite_archived`
columns.py   how values are stored in Parquet, and the checksum of rows
store.py     folders and stores such as S3
leave.py     take rows out of their table, or move a partition
rows.py      tables without partitions, raw tables, consents
"""
