"""What can be struck: the wrapped services and the locks that hold them."""
