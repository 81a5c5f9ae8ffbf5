"""Retention: drop partitions that are older than their model keeps them.

command.py   `warehouse retain`
policy.py    what models keep, and which partitions have expired
detach.py    take a partition out of its table
archive.py   export a detached partition, and drop it
"""
