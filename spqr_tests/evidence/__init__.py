"""What costs time: checkpoints, sampling, fine-tuning, judges, adherence, quality, and the store that keeps them.

Nothing here knows pytest. Modules import torch inside functions, so that reading settings stays cheap.
"""
