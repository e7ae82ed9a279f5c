"""Loggers by the names of jobs: a job's lines stand under its name, and `log_level` is its own."""

import logging


def logger_of(job: str) -> logging.Logger:
    return logging.getLogger(f"pyrotorque_scheduler.{job}")
