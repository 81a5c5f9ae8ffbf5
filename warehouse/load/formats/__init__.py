"""The formats of the files that are loaded.

opening.py   open plain and gzipped files
csv.py       CSV
jsonl.py     JSON lines
parquet.py   Parquet
arrow.py     the text of each type of Parquet
"""
