"""What a deployment consists of: recorded to cite it, to repeat it and to compare it."""
