"""One module for each sub-command, imported only when that sub-command is used."""
