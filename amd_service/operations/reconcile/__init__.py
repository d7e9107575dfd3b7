"""Reconciliation: finds calls and recordings whose callbacks were lost.

Requests them from Twilio's API and stores them.
"""

from amd_service.operations.reconcile.report import SweepReport
from amd_service.operations.reconcile.schedule import OVERLAP, Reconciliation

__all__ = ["OVERLAP", "Reconciliation", "SweepReport"]
