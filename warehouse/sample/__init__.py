"""The sample generator: a shop's history with known truth, the same bytes for the same arguments.

command.py    `warehouse sample`
plan.py       the arguments, the models' parameters, the windows of the loads, the random streams
columns.py    Arrow columns from numpy arrays, fast enough for ten million rows
people.py     users and their versions, consents, erasure requests
shop.py       categories, products, orders (BG/NBD), items (Gamma-Gamma), payments
traffic.py    sessions and events
dirty.py      dirty rows
files.py      Parquet, CSV and JSON lines
generate.py   assembles the tables, load by load, and writes the truth
"""
