"""Answering-machine detection for outbound Twilio calls.

    Twilio ─► web/twilio ─► operations ─► calls (rows = queue) ─► worker ─► operations ─► twilio ─► detection
                                              │                                                       │
                                              └──────────────────◄── verdict ◄────────────────────────┘
                                              │
                                          call_log ─► web (JSON, metrics) ─► people and dashboards

Folders import each other in one direction only. docs/architecture.md describes the rules. import-linter checks
the rules (configuration in `pyproject.toml`).
"""

__version__ = "0.1.0"
