"""What an archive holds: folders, lists, manifests and buckets as one table of recordings."""
