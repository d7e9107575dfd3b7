"""Asks Twilio for what its callbacks left out. Whatever it tells goes through the same intake as callbacks do."""

from amd_service.worker.reconcile.account import Findings
from amd_service.worker.reconcile.turns import OVERLAP, Reconciliation

__all__ = ["OVERLAP", "Findings", "Reconciliation"]
