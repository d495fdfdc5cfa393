"""What performances cost: usage times price (``price``), and what a scene is likely to cost (``forecast``)."""

from tau_stage.cost.price import CACHED, KINDS, LISTENED, MILLION, SPOKEN, TOKENS, UNITS, Cost, PriceList, price, prices

__all__ = [
    "CACHED",
    "KINDS",
    "LISTENED",
    "MILLION",
    "SPOKEN",
    "TOKENS",
    "UNITS",
    "Cost",
    "PriceList",
    "price",
    "prices",
]
