"""What a model sees of a picture, and the losses that pull it to where the user wants it."""
