"""Moving data so that a kill at any moment loses nothing: noted first, copied aside, compared, then switched."""
