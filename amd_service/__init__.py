"""Answering-machine detection for outbound Twilio calls.

    Twilio ─► web/twilio ─► operations ─► calls (rows = queue) ─► worker ─► operations ─► twilio ─► detection
                                              │                                                       │
                                              └──────────────────◄── verdict ◄────────────────────────┘
                                              │
                                          call_log ─► web (JSON, metrics) ─► people and dashboards

Imports go one way through the folders; docs/architecture.md describes the rules, `pyproject.toml` checks them.
"""

__version__ = "0.1.0"
