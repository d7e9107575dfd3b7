"""Reconciliation: asks Twilio's API for calls and recordings whose callbacks were lost, and stores the answers."""

from amd_service.operations.reconcile.report import SweepReport
from amd_service.operations.reconcile.schedule import OVERLAP, Reconciliation

__all__ = ["OVERLAP", "Reconciliation", "SweepReport"]
