"""Who may ask. Pure: where keys are stored is `store`'s business."""
