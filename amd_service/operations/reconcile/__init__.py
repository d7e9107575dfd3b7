"""Asks Twilio for what its callbacks left out. Whatever it tells goes through the same intake as callbacks do."""

from amd_service.operations.reconcile.account_sweep import SweepReport
from amd_service.operations.reconcile.schedule import OVERLAP, Reconciliation

__all__ = ["OVERLAP", "Reconciliation", "SweepReport"]
