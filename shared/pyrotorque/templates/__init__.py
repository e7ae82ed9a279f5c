"""Renders templates of the configuration; written text and inserted values stay separate."""

from pyrotorque.templates.template import Inserted, Piece, Template, compile_source, compile_template

__all__ = ["Inserted", "Piece", "Template", "compile_source", "compile_template"]
