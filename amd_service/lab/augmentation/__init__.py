"""Makes speech sound as if it came over a telephone, or from another voice. `chain.py` combines the effects.

Every effect takes mono float32 samples, their rate and a seeded numpy generator. No effect knows the label.
"""
