"""listen.yaml -> what is listened to, for what, and who is told."""
