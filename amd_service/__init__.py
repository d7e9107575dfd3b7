"""Answering-machine detection for outbound Twilio calls.

    Twilio ─► web/webhooks ─► calls (intake, queue) ─► worker ─► twilio/recordings ─► detector ─► audio, classifier
                                    ▲                    │                               │
                                    └──── settle ◄───────┴──────────── verdict ◄─────────┘
                                    │
                                call_log ─► web (JSON, metrics) ─► people and dashboards

Data flows one way through the tree; a module may import only what stands to its right or below
(`pyproject.toml`, import-linter contracts).
"""

__version__ = "0.1.0"
