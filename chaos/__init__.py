"""The whole group under fire: faults by a schedule that a seed repeats, and the books balanced afterwards."""
