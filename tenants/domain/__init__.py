"""Pure rules about who may do what."""
