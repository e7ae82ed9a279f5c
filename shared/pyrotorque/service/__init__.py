"""The common part of all services: lifecycle, heartbeats, runtime, configuration reload, totals report."""
