"""Metrics: CLIP score, FID, and the encoders behind them."""
