"""Adapter files: LoRAs and their kin, changes of named weights, whoever trained them."""
