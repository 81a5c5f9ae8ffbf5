"""Predicted lifetime value: fit its parameters, and test the predictions on the past.

command.py    `warehouse clv fit` and `warehouse clv backtest`
data.py       read the purchase histories, store the parameters
fit.py        maximum likelihood
backtest.py   predict a past quarter, and compare
chart.py      the comparison as a picture
"""
