"""Checks an installation from the settings to the model, and says what to do about each thing found."""

from amd_service.cli.doctor.examination import examine
from amd_service.cli.doctor.finding import Finding, Health
from amd_service.cli.doctor.report import print_findings, print_unreadable

__all__ = ["Finding", "Health", "examine", "print_findings", "print_unreadable"]
