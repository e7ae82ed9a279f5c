"""Reads items of rTorrent with the requested fields: one packed call, and few more for costly fields."""

from pyrotorque.items.details import FRESH, is_fresh
from pyrotorque.items.item import Item
from pyrotorque.items.lazy_items import LazyItems
from pyrotorque.items.reader import CustomFields, ItemReader, Reader, field_of, read_items

__all__ = ["FRESH", "CustomFields", "Item", "ItemReader", "LazyItems", "Reader", "field_of", "is_fresh", "read_items"]
