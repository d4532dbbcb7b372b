"""What packings cost at least, by HiGHS. Knows nothing of the solver.

Standard input is a JSON list of cases. A case has shapes, each with how many pods
of it wait and what one asks for, and bins to buy, each with its price, its room
and the shapes it admits; all in whole numbers. Standard output is a JSON list of two
costs for each case: one that every plan costs at least, and one at which every
pod has a place. They are equal but where the search was cut off.

A bin's fill to which no pod can be added is a column of an integer program: buy
fills that hold enough pods of each shape, at the least cost. What HiGHS buys is
counted again in whole numbers; its proof is rounded up to the next one.
"""

import json
import math
import os
import sys

# HiGHS greets on standard output, which is for answers alone.
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)

import highspy
import numpy

# Nodes of one search: a count, not a time, so that each run has the same answers.
NODES_MAX = 1500
# HiGHS counts in floating point, of prices that are whole.
TOLERANCE = 1e-3


def fills_of(shapes, bin):
    """Every fill of a bin that takes no further pod, as counts by shape."""
    found = []
    counts = [0] * len(shapes)

    def is_open(shape, room):
        fits = all(asked <= left for asked, left in zip(shapes[shape]["asks"], room))
        return fits and counts[shape] < shapes[shape]["pods"]

    def descend(position, room):
        if position == len(bin["admits"]):
            if not any(is_open(shape, room) for shape in bin["admits"]):
                found.append(tuple(counts))
            return
        shape = bin["admits"][position]
        descend(position + 1, room)
        while is_open(shape, room):
            counts[shape] += 1
            room = [left - asked for asked, left in zip(shapes[shape]["asks"], room)]
            descend(position + 1, room)
        counts[shape] = 0

    descend(0, bin["room"])
    return found


def prices_of(case):
    """The least price of each fill."""
    prices = {}
    for bin in case["bins"]:
        for fill in fills_of(case["shapes"], bin):
            if any(fill):
                prices[fill] = min(bin["price"], prices.get(fill, bin["price"]))
    return prices


def program(fills, prices, demands):
    """Buy whole numbers of fills, at least the demands, at the least cost."""
    counts = numpy.array(fills, dtype=float)
    columns, rows = numpy.nonzero(counts)
    model = highspy.HighsLp()
    model.num_col_, model.num_row_ = counts.shape
    model.col_cost_ = numpy.array(prices, dtype=float)
    model.col_lower_ = numpy.zeros(len(fills))
    model.col_upper_ = numpy.full(len(fills), float(sum(demands)))
    model.row_lower_ = numpy.array(demands, dtype=float)
    model.row_upper_ = numpy.full(len(demands), highspy.kHighsInf)
    model.integrality_ = [highspy.HighsVarType.kInteger] * len(fills)
    model.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    model.a_matrix_.start_ = numpy.searchsorted(columns, numpy.arange(len(fills) + 1))
    model.a_matrix_.index_ = rows
    model.a_matrix_.value_ = counts[columns, rows]
    return model


def optimum(case):
    """A cost that no plan is below, and the least cost found."""
    demands = [shape["pods"] for shape in case["shapes"]]
    prices = prices_of(case)
    fills = list(prices)
    highs = highspy.Highs()
    options = {
        "output_flag": False,
        "threads": 1,
        "mip_rel_gap": 0.0,
        "mip_abs_gap": 0.5,
        "mip_max_nodes": NODES_MAX,
    }
    for option, value in options.items():
        assert highs.setOptionValue(option, value) == highspy.HighsStatus.kOk, option
    model = program(fills, list(prices.values()), demands)
    assert highs.passModel(model) == highspy.HighsStatus.kOk
    highs.run()
    ends = (highspy.HighsModelStatus.kOptimal, highspy.HighsModelStatus.kSolutionLimit)
    assert highs.getModelStatus() in ends, highs.getModelStatus()
    bought = [round(amount) for amount in highs.getSolution().col_value]
    for shape, demand in enumerate(demands):
        held = sum(amount * fill[shape] for amount, fill in zip(bought, fills))
        assert held >= demand, f"{held} of {demand} pods of shape {shape} have a place"
    cost = sum(amount * prices[fill] for amount, fill in zip(bought, fills))
    return math.ceil(highs.getInfo().mip_dual_bound - TOLERANCE), cost


json.dump([optimum(case) for case in json.load(sys.stdin)], answers)
answers.close()
