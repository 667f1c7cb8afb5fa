"""The LLaMA on the device: its session, its GGUF file, and what is kept of it between starts."""
