"""Load files and source databases into the raw tables.

command.py    `warehouse load`
options.py    the options of a load
files.py      load a folder of files
database.py   load a source database
source.py     the address, the connection and the tables of a source database
state.py      how far the tables of a source database were read
likeness.py   what other applications call the tables and columns of the contract
formats/      CSV, JSON lines, Parquet
stage.py      the temporary tables
checks.py     reject what the raw table cannot hold
upsert.py     write new and changed rows, mark deleted ones
apply.py      checks, upsert and quarantine in one transaction
target.py     the raw tables and the quarantine
sample_guard.py   keeps the sample out of databases that hold other rows
report.py     progress, warnings, counts
"""

from warehouse.load.database import load_database
from warehouse.load.files import load_folder
from warehouse.load.report import Reporter, TableSummary

__all__ = ["Reporter", "TableSummary", "load_database", "load_folder"]
