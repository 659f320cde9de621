"""Commands of `notifications`: the local inbox and the fire-drill."""
