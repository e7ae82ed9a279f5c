"""Items of rTorrent with the fields that were asked for: one packed call, and few more for what is dear."""

from pyrotorque.items.found import Found
from pyrotorque.items.item import Item
from pyrotorque.items.reader import CustomFields, ItemReader, Reader, field_of, read_items

__all__ = ["CustomFields", "Found", "Item", "ItemReader", "Reader", "field_of", "read_items"]
