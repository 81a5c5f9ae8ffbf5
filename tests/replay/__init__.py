"""The proof that a build load by load equals a full rebuild; docs/replay.md explains it."""
