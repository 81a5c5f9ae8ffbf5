"""Loading files and source databases into the raw tables."""

from warehouse.load.command import load
from warehouse.load.database import load_database
from warehouse.load.files import load_folder
from warehouse.load.report import Reporter, TableSummary

__all__ = ["Reporter", "TableSummary", "load", "load_database", "load_folder"]
