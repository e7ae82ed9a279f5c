"""Turns templates of the configuration into text, keeping apart what their author wrote and what they inserted."""

from pyrotorque.templates.template import Inserted, Piece, Template, compile_template

__all__ = ["Inserted", "Piece", "Template", "compile_template"]
