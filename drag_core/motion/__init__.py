"""What moves where: the drag instruction, masks, affine maps, and the task that a recipe works on."""
