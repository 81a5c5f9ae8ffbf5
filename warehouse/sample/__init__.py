"""The sample generator: a shop's history with known truth, the same bytes for the same arguments.

plan.py       what is asked, the models' parameters, the windows of the loads, the random streams
columns.py    Arrow columns from numpy arrays, fast enough for ten million rows
people.py     users and their versions, consents, erasure requests
shop.py       categories, products, orders (BG/NBD), items (Gamma-Gamma), payments
traffic.py    sessions and events
files.py      Parquet, CSV and JSON lines
generate.py   puts the tables together, load by load, and writes the truth
command.py    `warehouse sample`
"""

from warehouse.sample.command import sample

__all__ = ["sample"]
