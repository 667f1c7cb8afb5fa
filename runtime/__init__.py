"""What runs on the device: encoder and LLaMA sessions, the engine, scoring. Never imports torch."""
