"""The kit with which authors test their apps."""
