"""Makes the small model that ships with the service from synthetic speech, and compares recipes for it.

`python -m amd_service.lab.shipped_model.make` trains one model. `python -m amd_service.lab.shipped_model.leave_out`
compares the recipes of `recipes.py` on speech engines that were left out of the training.
"""
