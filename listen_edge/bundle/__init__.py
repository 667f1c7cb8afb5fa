"""What a device is shipped: one verified folder, how it travels, and the files beside it."""
