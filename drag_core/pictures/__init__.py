"""Pictures as files, cut out, pasted back, and drawn on."""
